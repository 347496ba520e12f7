/* The C interface of wharf, made by cbindgen from host/ffi/src. */

#ifndef WHARF_H
#define WHARF_H

#include <stdint.h>

/**
 * Raised by one whenever a function is added, or changes so that callers of before would fail.
 */
#define WHARF_ABI_VERSION 2

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
 * The stream of data has ended.
 */
#define WHARF_DATA_END 0

/**
 * Nobody wants the data any more, or its sender broke off: whatever was made of it must go.
 */
#define WHARF_DATA_GONE -1

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
 * - `datasets`: `files` (the default), or `caller`: the caller serves them, see [`wharf_data_answer`].
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
 * Reads what a container sends to the caller's datasets: the bytes of an ask whose `stream` is `read`.
 *
 * Waits until some are there, and writes at most `capacity` of them to `buffer`, which stays the caller's. Returns how many,
 * `WHARF_DATA_END` at the end, or `WHARF_DATA_GONE`: then the caller throws away what it made of those before, and answers with a
 * fault.
 *
 * # Safety
 * `capacity` bytes can be written to `buffer`.
 */
int64_t wharf_data_read(uint64_t host,
                        uint64_t ask,
                        uint8_t *buffer,
                        size_t capacity);

/**
 * Writes what a container asked of the caller's datasets: the bytes of an ask whose `stream` is `write`. They are copied.
 *
 * Waits until there is room, so a container that reads slowly costs no memory. Returns `length`, or `WHARF_DATA_GONE` when nobody
 * wants more.
 *
 * # Safety
 * `length` bytes can be read from `bytes`.
 */
int64_t wharf_data_write(uint64_t host,
                         uint64_t ask,
                         const uint8_t *bytes,
                         size_t length);

/**
 * Answers what the host asked of the caller's datasets.
 *
 * A host that was opened with `"datasets": "caller"` asks for all that concerns data. The call `{"request": "serve-datasets"}` has
 * what it asks for as its values, under its demand; there may be one such call at a time, and one that is cancelled fails what
 * it gave out. Each value has `ask`, a number `id`, and what belongs to it:
 * - `check`: `binding`, `access` (`read`, `write`). Whether a run that wants this may begin. Answer null.
 * - `schema`: `binding`. Answer `{"columns": [{"name": ..., "type": ...}]}`, of the data in place.
 * - `read`: `binding`, `token` or null. All rows as CSV through [`wharf_data_write`]: those in place, or, with a token, those that it
 *   staged, else those in place. Answer null when all are written.
 * - `staged-schema`: `token`, `binding`. Answer the schema that the token staged, or null.
 * - `stage`: `token`, `binding`, `schema`, `limit`. The rows as CSV from [`wharf_data_read`], in place of those that the token staged before.
 *   Answer how many.
 * - `list`: `binding`, `token` or null. Answer `[{"path", "size", "modified"}]`.
 * - `read-file`: `binding`, `path`, `token` or null. The bytes through [`wharf_data_write`]; answer null.
 * - `stage-file`: `token`, `binding`, `path`, `limit`. The bytes from [`wharf_data_read`]; answer null.
 * - `stage-delete`: `token`, `binding`, `path`. Answer null.
 * - `commit`: `token`. All or nothing; again, if it was cut off or done already. Answer `{"bindings": [names], "changes": n}`.
 * - `abort`: `token`. Answer null.
 * - `status`: `token`. Answer `unknown`, `staged`, `committing` or `committed`.
 * - `forget`: `token`. The outcome is in the record. Answer null.
 *
 * A token, `{"run": ..., "attempt": ...}`, is what all outputs of an attempt are committed under. What was staged must still be there in
 * another process, under its token. `limit` is how many bytes a token may have staged, or null.
 *
 * The CSV is UTF-8 with a header line, commas and double quotes; an empty field is null, and `""` the empty text. `stream` says
 * whether an ask has bytes: `read`, `write`, or null. Such asks wait for containers: each wants a thread of the caller's, of which
 * it needs 32, and others must not wait for them.
 *
 * `answer` is `{"value": ...}` or `{"fault": {"code", "message"}}`, with the codes `not-found` (the message names what), `unusable`,
 * `bad-rows`, `full`, `closed` or another. Returns null, or a fault: `usage`. An answer that nobody waits for any more is fine.
 *
 * # Safety
 * `answer` is a text that ends with a zero byte.
 */
char *wharf_data_answer(uint64_t host,
                        uint64_t ask,
                        const char *answer);

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
