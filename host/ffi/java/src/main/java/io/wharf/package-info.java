/**
 * Runs data-processing activities in containers, judged by WebAssembly components.
 *
 * <p>A <em>home</em> is a folder with execution configurations, base images and components. {@link io.wharf.Host#embedded} opens it
 * in this process; {@link io.wharf.Host#connect} speaks to the process that has it open, so that no native code is loaded here.
 *
 * <pre>{@code
 * try (Host host = Host.embedded(Path.of("home"))) {
 *     Activity activity = Activity.python("print('hello')").user("ana").group("analysts").build();
 *     Run run = host.submit(activity).join();
 *     run.events().subscribe(subscriber);
 *     System.out.println(run.outcome().join().sentence());
 * }
 * }</pre>
 *
 * <p>Failures are {@link io.wharf.WharfException}s; futures complete with them. All classes may be used from several threads.
 */
package io.wharf;
