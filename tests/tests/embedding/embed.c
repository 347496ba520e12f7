/* A host in a C program: `embed HOME`. Says what it sees, one line a step; ends with 1 at the first surprise. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wharf.h"

static void fail(const char *what) {
    fprintf(stderr, "%s\n", what);
    exit(1);
}

/* The fault must be there and have this code. */
static void expect(char *fault, const char *code) {
    if (fault == NULL || strstr(fault, code) == NULL) {
        fprintf(stderr, "expected a fault with %s, got %s\n", code, fault == NULL ? "none" : fault);
        exit(1);
    }
    wharf_text_free(fault);
}

static void none(char *fault) {
    if (fault != NULL) {
        fail(fault);
    }
}

static int logged = 0;

static void log_line(void *context, const char *line) {
    if (context != &logged || line[0] != '{') {
        fail("a line of the log is odd");
    }
    __atomic_add_fetch(&logged, 1, __ATOMIC_SEQ_CST);
}

/* Takes the next reply of this call, by way of poll. */
static char *next(uint64_t host, uint64_t call) {
    struct pollfd bell = {.fd = wharf_host_fd(host), .events = POLLIN};
    uint64_t of = 0;
    char *reply = NULL;
    if (poll(&bell, 1, 60000) != 1 || wharf_host_next(host, 0, &of, &reply) != WHARF_NEXT_REPLY) {
        fail("the descriptor said that there is a reply, and there is none");
    }
    if (of != call) {
        fail("a reply of another call");
    }
    return reply;
}

/* The number after "id": in what the host asks. */
static uint64_t id_of(const char *ask) {
    const char *found = strstr(ask, "\"id\":");
    if (found == NULL) {
        fail(ask);
    }
    return strtoull(found + 5, NULL, 10);
}

/* Datasets that are this program's: the host asks before it begins, and hears the reason why not. */
static void datasets(const char *home) {
    uint64_t host = 0, serving = 0, submitting = 0, other = 0;
    unsigned char bytes[8];
    char *ask = NULL, *reply = NULL;
    none(wharf_host_open(home, "{\"datasets\": \"caller\"}", NULL, NULL, &host));
    none(wharf_host_call(host, "{\"request\": \"serve-datasets\"}", 1, &serving));
    none(wharf_host_call(host, "{\"request\": \"serve-datasets\"}", 1, &other));
    reply = next(host, other);
    if (strstr(reply, "served by another call") == NULL) {
        fail(reply);
    }
    wharf_text_free(reply);
    none(wharf_host_call(host,
        "{\"request\": \"submit\", \"activity\": {\"kind\": \"python\", \"code\": \"\","
        " \"requester\": {\"user\": \"ana\", \"groups\": [\"analysts\"]}, \"outputs\": [],"
        " \"inputs\": [{\"name\": \"t\", \"role\": \"main\", \"kind\": \"dataset\", \"place\": {\"path\": \"a table\"}}]}}",
        1, &submitting));
    ask = next(host, serving);
    if (strstr(ask, "\"ask\":\"check\"") == NULL || strstr(ask, "\"path\":\"a table\"") == NULL) {
        fail(ask);
    }
    /* It has no bytes. */
    if (wharf_data_read(host, id_of(ask), bytes, sizeof bytes) != WHARF_DATA_GONE
        || wharf_data_write(host, id_of(ask), bytes, sizeof bytes) != WHARF_DATA_GONE
        || wharf_data_read(host, id_of(ask), NULL, 8) != WHARF_DATA_GONE
        || wharf_data_write(host, 12345, bytes, sizeof bytes) != WHARF_DATA_GONE) {
        fail("bytes of an ask that has none");
    }
    expect(wharf_data_answer(host, id_of(ask), "no answer"), "isn't an answer");
    expect(wharf_data_answer(host, id_of(ask), "\"end\""), "`value` or `fault`");
    expect(wharf_data_answer(host, id_of(ask), NULL), "`answer` is null");
    none(wharf_data_answer(host, id_of(ask), "{\"fault\": {\"code\": \"unusable\", \"message\": \"it is Sunday\"}}"));
    /* An answer that nobody waits for. */
    none(wharf_data_answer(host, id_of(ask), "{\"value\": null}"));
    wharf_text_free(ask);
    reply = next(host, submitting);
    if (strstr(reply, "input-missing") == NULL || strstr(reply, "it is Sunday") == NULL) {
        fail(reply);
    }
    wharf_text_free(reply);
    wharf_call_cancel(host, serving);
    /* It may still be looking for what an earlier process left. */
    if (wharf_host_close(host, 30000) != WHARF_CLOSED || wharf_data_read(host, 1, bytes, sizeof bytes) != WHARF_DATA_GONE) {
        fail("closing a host with datasets");
    }
    expect(wharf_host_open(home, "{\"datasets\": \"nobody\"}", NULL, NULL, &host), "unknown variant");
}

int main(int argc, char **argv) {
    uint64_t host = 0, call = 0, other = 0;
    char *reply = NULL;
    if (argc != 2 || wharf_abi_version() != WHARF_ABI_VERSION) {
        fail("embed HOME");
    }
    expect(wharf_host_open(NULL, NULL, NULL, NULL, &host), "`home` is null");
    expect(wharf_host_open("\xff", NULL, NULL, NULL, &host), "isn't UTF-8");
    expect(wharf_host_open("/nowhere", NULL, NULL, NULL, &host), "home-not-found");
    expect(wharf_host_open(argv[1], "{\"thread\": 1}", NULL, NULL, &host), "unknown field");
    none(wharf_host_open(argv[1], "{\"threads\": 1, \"log_level\": \"trace\"}", log_line, &logged, &host));
    expect(wharf_host_open(argv[1], NULL, NULL, NULL, &other), "home-busy");

    /* Nothing is said before it is asked for. */
    none(wharf_host_call(host, "{\"request\": \"hello\"}", 0, &call));
    if (wharf_host_next(host, 200, &other, &reply) != WHARF_NEXT_NOTHING) {
        fail("a reply that nobody asked for");
    }
    wharf_call_demand(host, call, 1);
    reply = next(host, call);
    if (strstr(reply, "\"version\"") == NULL) {
        fail(reply);
    }
    wharf_text_free(reply);
    wharf_call_demand(host, call, 1);
    reply = next(host, call);
    if (strcmp(reply, "\"end\"") != 0) {
        fail(reply);
    }
    wharf_text_free(reply);

    /* A call that was cancelled says no more, not even what it said before. */
    none(wharf_host_call(host, "{\"request\": \"runs\", \"limit\": 5}", 9, &call));
    struct pollfd bell = {.fd = wharf_host_fd(host), .events = POLLIN};
    if (poll(&bell, 1, 60000) != 1) {
        fail("no reply");
    }
    wharf_call_cancel(host, call);
    if (wharf_host_next(host, 200, &other, &reply) != WHARF_NEXT_NOTHING || poll(&bell, 1, 0) != 0) {
        fail("a reply of a call that was cancelled");
    }
    wharf_call_cancel(host, call);
    wharf_call_demand(host, 12345, 1);

    none(wharf_host_call(host, "no message", 1, &call));
    reply = next(host, call);
    if (strstr(reply, "\"usage\"") == NULL) {
        fail(reply);
    }
    wharf_text_free(reply);
    expect(wharf_host_call(host, "{}", 1, NULL), "`call` is null");

    if (wharf_host_close(host, 0) != WHARF_CLOSED || wharf_host_close(host, 0) != WHARF_CLOSED_BEFORE) {
        fail("closing");
    }
    expect(wharf_host_call(host, "{\"request\": \"hello\"}", 1, &call), "host-closed");
    if (wharf_host_next(host, -1, &other, &reply) != WHARF_NEXT_CLOSED || wharf_host_fd(host) != -1) {
        fail("a host that is closed");
    }
    wharf_call_cancel(host, 1);
    wharf_text_free(NULL);
    datasets(argv[1]);
    if (logged == 0) {
        fail("no line of the log");
    }
    printf("done with %s\n", wharf_version());
    return 0;
}
