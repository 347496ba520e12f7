package io.wharf;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Flow;
import java.util.function.BiConsumer;

/** Collects what a publisher says, a few at a time, as a slow reader would. */
final class Collector<T> implements Flow.Subscriber<T> {
    private final long window;
    private final BiConsumer<Collector<T>, T> onEach;
    private final List<T> all = new ArrayList<>();
    private final CompletableFuture<List<T>> done = new CompletableFuture<>();
    private Flow.Subscription subscription;
    private long left;

    Collector(long window, BiConsumer<Collector<T>, T> onEach) {
        this.window = window;
        this.onEach = onEach;
    }

    static <T> List<T> all(Flow.Publisher<T> publisher, long window) {
        Collector<T> collector = new Collector<>(window, (self, item) -> {});
        publisher.subscribe(collector);
        return Run.join(collector.done);
    }

    CompletableFuture<List<T>> done() {
        return done;
    }

    void cancel() {
        subscription.cancel();
        done.complete(all);
    }

    @Override
    public void onSubscribe(Flow.Subscription subscription) {
        this.subscription = subscription;
        left = window;
        subscription.request(window);
    }

    @Override
    public void onNext(T item) {
        all.add(item);
        onEach.accept(this, item);
        if (--left == 0) {
            left = window;
            subscription.request(window);
        }
    }

    @Override
    public void onError(Throwable error) {
        done.completeExceptionally(error);
    }

    @Override
    public void onComplete() {
        done.complete(all);
    }
}
