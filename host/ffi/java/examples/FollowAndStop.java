import io.wharf.Activity;
import io.wharf.Event;
import io.wharf.Host;
import io.wharf.Outcome;
import io.wharf.Run;
import io.wharf.RunSummary;
import java.nio.file.Path;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Flow;

/**
 * Runs a recipe and follows its log, stops another, and is killed while a third goes on: java FollowAndStop.java HOME. Started again, with
 * the word {@code again}, it finds that one.
 */
class FollowAndStop {
    public static void main(String[] arguments) throws Exception {
        boolean again = arguments.length > 1;
        try (Host host = Host.embedded(Path.of(arguments[0]))) {
            if (again) {
                // Every run of a home is in its record; the newest is the one that went on.
                RunSummary newest = host.runs(1).join().get(0);
                Run run = host.run(newest.run()).join();
                run.events().subscribe(new Printer(Long.MAX_VALUE));
                System.out.println("found again: " + run.outcome().join().sentence());
                return;
            }
            Run first = host.submit(recipe("print('hello from a container')")).join();
            first.events().subscribe(new Printer(Long.MAX_VALUE));
            System.out.println("the first: " + first.outcome().join().sentence());

            Run endless = host.submit(recipe("import time\nprint('up', flush=True)\nwhile True: time.sleep(1)")).join();
            untilItSays(endless, 1);
            endless.stop("ana").join();
            Outcome stopped = endless.outcome().join();
            System.out.println("the second: " + stopped.cause());

            Run third = host.submit(recipe("import time\nfor i in range(50): print(i, flush=True); time.sleep(0.1)")).join();
            untilItSays(third, 3);
            // As kill -9 would: nothing of this process has a say in it.
            new ProcessBuilder("kill", "-9", String.valueOf(ProcessHandle.current().pid())).start();
            Thread.sleep(60_000);
        }
    }

    private static Activity recipe(String code) {
        return Activity.python(code).user("ana").group("analysts").configuration("docker-local").build();
    }

    /** Waits for so many lines of a run's log. */
    private static void untilItSays(Run run, long lines) throws InterruptedException {
        Printer printer = new Printer(lines);
        run.events().subscribe(printer);
        printer.done.await();
    }

    /** Prints a run's log, up to a number of lines. It asks for one event after the other, so it is never overrun. */
    private static final class Printer implements Flow.Subscriber<Event> {
        private final CountDownLatch done = new CountDownLatch(1);
        private Flow.Subscription subscription;
        private long left;

        Printer(long lines) {
            left = lines;
        }

        @Override
        public void onSubscribe(Flow.Subscription subscription) {
            this.subscription = subscription;
            subscription.request(1);
        }

        @Override
        public void onNext(Event event) {
            if (event.logLine() != null) {
                System.out.println(event.logLine());
                if (--left == 0) {
                    subscription.cancel();
                    done.countDown();
                    return;
                }
            }
            subscription.request(1);
        }

        @Override
        public void onError(Throwable error) {
            System.err.println(error);
            done.countDown();
        }

        @Override
        public void onComplete() {
            done.countDown();
        }
    }
}
