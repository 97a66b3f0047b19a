#include "server_start.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Between fork and exec, in a process with other threads: system calls alone. */
static void become_server(const char *command, const char *folder, const char *log) {
    int in = open("/dev/null", O_RDONLY), out = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    setsid();
    if (in < 0 || out < 0 || fork() != 0) _exit(in < 0 || out < 0);
    dup2(in, 0), dup2(out, 1), dup2(out, 2);
    if (chdir(folder) == 0) execl(command, command, "serve", "--idle-exit", "900", (char *)NULL);
    _exit(127);
}

int start_server(const char *bundle, char problem[WIRE_TEXT]) {
    char path[WIRE_PATH + 64], command[WIRE_PATH] = "", folder[WIRE_PATH], log[WIRE_PATH + 16];
    int status = 0;
    snprintf(path, sizeof path, "%s/Contents/Resources/impasto", bundle);
    FILE *file = fopen(path, "r");
    if (file != NULL) {
        if (fgets(command, sizeof command, file) != NULL) command[strcspn(command, "\r\n")] = 0;
        fclose(file);
    }
    if (command[0] != '/' || access(command, X_OK) != 0) {
        snprintf(problem, WIRE_TEXT, "expected the path of the impasto command in '%.300s'; run `impasto ofx install` again",
                 path);
        return -1;
    }
    wire_folder(folder);
    snprintf(log, sizeof log, "%s/server.log", folder);
    if (mkdir(folder, 0700) != 0 && errno != EEXIST) {
        snprintf(problem, WIRE_TEXT, "expected a folder at '%.300s', got: %s", folder, strerror(errno));
        return -1;
    }
    pid_t child = fork();
    if (child == 0) become_server(command, folder, log);
    if (child < 0 || waitpid(child, &status, 0) < 0 || status != 0) {
        snprintf(problem, WIRE_TEXT, "expected to start '%.300s serve', got: %s", command, strerror(errno));
        return -1;
    }
    return 0;
}
