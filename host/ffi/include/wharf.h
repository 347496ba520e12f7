/* The C interface of wharf, made by cbindgen from host/ffi/src. */

#ifndef WHARF_H
#define WHARF_H

#include <stdint.h>

/**
 * Raised by one whenever a function changes so that callers of before would fail.
 */
#define WHARF_ABI_VERSION 1

/**
 * A reply was taken.
 */
#define WHARF_NEXT_REPLY 1

/**
 * None came in the given time.
 */
#define WHARF_NEXT_NOTHING 0

/**
 * The host is closed, and all its replies are taken; or there is no such host.
 */
#define WHARF_NEXT_CLOSED -1

/**
 * Everything has ended.
 */
#define WHARF_CLOSED 0

/**
 * Runs go on in their containers; whoever opens the home next finds them.
 */
#define WHARF_CLOSED_RUNS_GO_ON 1

/**
 * There is no such host, or it was closed before.
 */
#define WHARF_CLOSED_BEFORE -1

/**
 * What the library calls with one line of its log, a JSON object: `context`, and the line, which is gone when the function returns.
 *
 * It is called from the library's own threads, from several at once, and must call no function of this library.
 */
typedef void (*wharf_log_fn)(void *context, const char *line);

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * The version of this interface: `WHARF_ABI_VERSION` of the library that was loaded.
 */
uint32_t wharf_abi_version(void);

/**
 * The library's own version, such as `0.1.0`. Never freed.
 */
const char *wharf_version(void);

/**
 * Frees a text that a function of this library gave. Null is fine.
 *
 * # Safety
 * It is null, or a text of this library that wasn't freed yet.
 */
void wharf_text_free(char *text);

/**
 * Opens a home for this process, and takes over the runs in it that an earlier process left.
 *
 * `home` is the path of its folder. `options` is null or a JSON object:
 * - `threads`: how many threads work for this host; 2 by default.
 * - `log_level`: `error`, `warn` (the default), `info`, `debug` or `trace`, for what `log` gets.
 * - `docker_config`: the path of a Docker `config.json` with logins for registries. None by default.
 * - `signals_based_traps`: whether components may use the signals of this process, which is faster. Never in a JVM. False by default.
 *
 * `log` may be null; `context` is passed to it as it is. `host` gets the host's number.
 *
 * Returns null, or a fault: `home-not-found`, `home-busy` (another process has it), `store-damaged`, `usage` and others.
 *
 * # Safety
 * `home` is a text that ends with a zero byte, `options` is null or one, and `host` can be written to. `log` may be called with `context` until
 * `wharf_host_close` has returned.
 */
char *wharf_host_open(const char *home,
                      const char *options,
                      wharf_log_fn log,
                      void *context,
                      uint64_t *host);

/**
 * Starts a call: sends a message to a host.
 *
 * `request` is the message, one JSON object. `demand` says how many replies may come before [`wharf_call_demand`] asks for more. `call`
 * gets the number under which they come out of [`wharf_host_next`]. It is written before the first of them can be taken.
 *
 * The last reply of a call is `"end"` or an object with the key `fault`; a message that can't be understood is answered so, too.
 *
 * Returns null, or a fault: `host-closed` when there is no such host, or `usage`.
 *
 * # Safety
 * `request` is a text that ends with a zero byte, and `call` can be written to.
 */
char *wharf_host_call(uint64_t host,
                      const char *request,
                      uint32_t demand,
                      uint64_t *call);

/**
 * Asks for so many more replies of a call. One that has ended, or was cancelled, is left alone.
 */
void wharf_call_demand(uint64_t host, uint64_t call, uint32_t more);

/**
 * Ends a call: none of its replies comes out of [`wharf_host_next`] after this has returned.
 *
 * What the call began goes on: a run is stopped by the message `stop`. Only the making of images ends with its call.
 */
void wharf_call_cancel(uint64_t host, uint64_t call);

/**
 * Takes the next reply of any call of a host, in the order in which they came.
 *
 * Waits at most `milliseconds` for one; a negative number waits for ever, which [`wharf_host_close`] ends. Writes the call's number
 * and the reply, a JSON text that is the caller's.
 *
 * Returns `WHARF_NEXT_REPLY`, `WHARF_NEXT_NOTHING` or `WHARF_NEXT_CLOSED`; for the last two, nothing is written.
 *
 * # Safety
 * `call` and `reply` can be written to.
 */
int32_t wharf_host_next(uint64_t host,
                        int64_t milliseconds,
                        uint64_t *call,
                        char **reply);

/**
 * A file descriptor that can be read from while a reply waits, or when the host is closed: for `poll` and event loops.
 *
 * It stays the library's: don't read, write or close it. It is closed by [`wharf_host_close`]. Returns -1 if there is no such host.
 */
int32_t wharf_host_fd(uint64_t host);

/**
 * Gives a home up. Another process can open it when this has returned.
 *
 * Waits at most `milliseconds` for the runs to end; a negative number waits for all of them. Those that haven't ended go on in their
 * containers, and whoever opens the home next goes on with them. New calls are refused from the beginning of the wait on.
 *
 * Returns `WHARF_CLOSED`, `WHARF_CLOSED_RUNS_GO_ON` or `WHARF_CLOSED_BEFORE`.
 */
int32_t wharf_host_close(uint64_t host,
                         int64_t milliseconds);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* WHARF_H */
