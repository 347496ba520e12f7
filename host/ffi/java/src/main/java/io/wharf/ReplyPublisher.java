package io.wharf;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import java.util.concurrent.Flow;
import java.util.function.Function;

/** The values of an answer. Each subscriber makes a call of its own, and gets no more than it asked for. */
final class ReplyPublisher<T> implements Flow.Publisher<T> {
    private final Transport transport;
    private final JsonObject request;
    private final Function<JsonElement, T> read;

    ReplyPublisher(Transport transport, JsonObject request, Function<JsonElement, T> read) {
        this.transport = transport;
        this.request = request;
        this.read = read;
    }

    @Override
    public void subscribe(Flow.Subscriber<? super T> subscriber) {
        if (subscriber == null) {
            throw new NullPointerException("subscriber");
        }
        new Subscription<>(subscriber, read).begin(transport, request);
    }

    private static final class Subscription<T> implements Flow.Subscription, Transport.Replies {
        private final Flow.Subscriber<? super T> subscriber;
        private final Function<JsonElement, T> read;
        private Transport.Call call;
        private long early;
        private boolean over;

        Subscription(Flow.Subscriber<? super T> subscriber, Function<JsonElement, T> read) {
            this.subscriber = subscriber;
            this.read = read;
        }

        void begin(Transport transport, JsonObject request) {
            subscriber.onSubscribe(this);
            Transport.Call begun;
            try {
                // The end has to be asked for like any other reply: one more than values.
                begun = transport.call(request, 1, this);
            } catch (WharfException error) {
                fault(error);
                return;
            }
            long wanted;
            boolean cancelled;
            synchronized (this) {
                call = begun;
                wanted = early;
                cancelled = over;
            }
            if (cancelled) {
                begun.cancel();
            } else if (wanted > 0) {
                begun.demand(wanted);
            }
        }

        @Override
        public void request(long number) {
            Transport.Call begun;
            synchronized (this) {
                if (over) {
                    return;
                }
                if (number <= 0) {
                    begun = null;
                } else if (call == null) {
                    early = early + number < 0 ? Long.MAX_VALUE : early + number;
                    return;
                } else {
                    begun = call;
                }
            }
            if (begun == null) {
                cancel();
                subscriber.onError(new IllegalArgumentException("a subscriber asked for " + number + " values"));
            } else {
                begun.demand(number);
            }
        }

        @Override
        public void cancel() {
            Transport.Call begun;
            synchronized (this) {
                over = true;
                begun = call;
            }
            if (begun != null) {
                begun.cancel();
            }
        }

        private synchronized boolean first(boolean last) {
            boolean was = over;
            over |= last;
            return !was;
        }

        @Override
        public void value(JsonElement value) {
            if (first(false)) {
                subscriber.onNext(read.apply(value));
            }
        }

        @Override
        public void end() {
            if (first(true)) {
                subscriber.onComplete();
            }
        }

        @Override
        public void fault(WharfException fault) {
            if (first(true)) {
                subscriber.onError(fault);
            }
        }
    }
}
