package io.wharf;

import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;

/** Messages as text. */
final class Json {
    static final Gson GSON = new GsonBuilder().disableHtmlEscaping().create();

    private Json() {}

    static JsonObject request(String name) {
        JsonObject request = new JsonObject();
        request.addProperty("request", name);
        return request;
    }

    static JsonElement parse(String text) {
        return JsonParser.parseString(text);
    }

    static WharfException exception(String fault) {
        return new WharfException(GSON.fromJson(fault, Fault.class));
    }

    static WharfException exception(JsonElement fault) {
        return new WharfException(GSON.fromJson(fault, Fault.class));
    }
}
