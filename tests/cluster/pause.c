/* The first process of every pod: it holds the pod's namespaces, and waits to be told to go. */
#include <signal.h>
#include <unistd.h>
#include <sys/wait.h>

static void leave(int signal) {
    (void)signal;
    _exit(0);
}

/* Where a pod shares its process namespace, whatever lost its parent ends here. */
static void reap(int signal) {
    (void)signal;
    while (waitpid(-1, 0, WNOHANG) > 0) {
    }
}

int main(void) {
    struct sigaction end = {.sa_handler = leave};
    struct sigaction child = {.sa_handler = reap, .sa_flags = SA_NOCLDSTOP};
    if (sigaction(SIGINT, &end, 0) || sigaction(SIGTERM, &end, 0) || sigaction(SIGCHLD, &child, 0)) {
        return 1;
    }
    for (;;) {
        pause();
    }
}
