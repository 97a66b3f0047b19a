#include "zmtp.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0 /* macOS: SO_NOSIGPIPE, below */
#endif

enum { GREETING = 64, MORE = 1, LONG = 2, COMMAND = 4 };
static const size_t COMMAND_BYTES = 1024, SMALL_PART = 64 * 1024, LARGEST_PART = (size_t)1 << 30;

double seconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Waits until the socket is ready or the time has come; 0 when it is ready. */
static int await(int fd, short events, double until) {
    for (;;) {
        double left = until - seconds_now();
        struct pollfd look = {fd, events, 0};
        int ready = poll(&look, 1, left <= 0 ? 0 : left > 3600 ? 3600000 : (int)(1000 * left) + 1);
        if (ready > 0) return 0;
        if (ready == 0 && left <= 0) {
            errno = ETIMEDOUT;
            return -1;
        }
        if (ready < 0 && errno != EINTR) return -1;
    }
}

static int send_all(int fd, const void *bytes, size_t size, double until) {
    const char *at = bytes;
    while (size > 0) {
        ssize_t sent = send(fd, at, size, MSG_NOSIGNAL);
        if (sent >= 0) {
            at += sent;
            size -= (size_t)sent;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            if (await(fd, POLLOUT, until) != 0) return -1;
        } else if (errno != EINTR) {
            return -1;
        }
    }
    return 0;
}

static int receive_all(int fd, unsigned char *at, size_t size, double until) {
    while (size > 0) {
        ssize_t came = recv(fd, at, size, 0);
        if (came > 0) {
            at += came;
            size -= (size_t)came;
        } else if (came == 0) {
            errno = ECONNRESET;
            return -1;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            if (await(fd, POLLIN, until) != 0) return -1;
        } else if (errno != EINTR) {
            return -1;
        }
    }
    return 0;
}

void zmtp_init(struct zmtp *zmtp) {
    memset(zmtp, 0, sizeof *zmtp);
    zmtp->fd = -1;
    pthread_mutex_init(&zmtp->sending, NULL);
}

static int shake_hands(int fd, double until) {
    static const unsigned char READY[] = "\x04\x1c\x05READY\x0bSocket-Type\0\0\0\6DEALER";
    unsigned char ours[GREETING] = {0xff, [9] = 0x7f, [10] = 3, [11] = 1, [12] = 'N', 'U', 'L', 'L'};
    unsigned char theirs[GREETING], head[2], ready[255];
    if (send_all(fd, ours, GREETING, until) != 0 || receive_all(fd, theirs, GREETING, until) != 0) return -1;
    errno = EPROTO;
    if (theirs[0] != 0xff || theirs[9] != 0x7f || theirs[10] < 3 || memcmp(theirs + 12, "NULL", 5) != 0) return -1;
    if (send_all(fd, READY, sizeof READY - 1, until) != 0 || receive_all(fd, head, 2, until) != 0) return -1;
    errno = EPROTO;
    if (head[0] != COMMAND || receive_all(fd, ready, head[1], until) != 0) return -1;
    errno = EPROTO;
    return head[1] >= 6 && memcmp(ready, "\5READY", 6) == 0 ? 0 : -1;
}

int zmtp_open(struct zmtp *zmtp, const char *path, double until) {
    struct sockaddr_un where = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof where.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    strcpy(where.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd < 0) return -1;
    fcntl(fd, F_SETFD, FD_CLOEXEC);
#ifdef SO_NOSIGPIPE
    setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &(int){1}, sizeof(int));
#endif
    if (connect(fd, (struct sockaddr *)&where, sizeof where) != 0 || fcntl(fd, F_SETFL, O_NONBLOCK) != 0 ||
        shake_hands(fd, until) != 0) {
        int why = errno;
        close(fd);
        errno = why;
        return -1;
    }
    zmtp->fd = fd;
    return 0;
}

void zmtp_close(struct zmtp *zmtp) {
    if (zmtp->fd >= 0) close(zmtp->fd);
    zmtp->fd = -1;
    free(zmtp->body);
    zmtp->body = NULL;
    zmtp->head_bytes = zmtp->body_bytes = 0;
    zmtp->in_body = 0;
    message_free(&zmtp->message);
}

static int send_frame(int fd, int flags, struct part part, double until) {
    unsigned char head[9] = {(unsigned char)(flags | (part.size > 255 ? LONG : 0)), (unsigned char)part.size};
    if (part.size > 255)
        for (int i = 0; i < 8; i++) head[1 + i] = (unsigned char)((unsigned long long)part.size >> 8 * (7 - i));
    if (send_all(fd, head, part.size > 255 ? 9 : 2, until) != 0) return -1;
    return send_all(fd, part.bytes, part.size, until);
}

int zmtp_send(struct zmtp *zmtp, const struct part *parts, int count, double until) {
    int failed = 0;
    pthread_mutex_lock(&zmtp->sending);
    for (int i = 0; i < count && !failed; i++)
        failed = zmtp->fd < 0 || send_frame(zmtp->fd, i + 1 < count ? MORE : 0, parts[i], until) != 0;
    if (failed && zmtp->fd >= 0) shutdown(zmtp->fd, SHUT_RDWR); /* half a message left: whoever receives sees the end */
    pthread_mutex_unlock(&zmtp->sending);
    return failed ? -1 : 0;
}

void message_free(struct message *message) {
    for (int i = 0; i < message->parts; i++) free(message->part[i].bytes);
    message->parts = 0;
}

/* The head of a frame is complete: make room for its body. */
static int begin_body(struct zmtp *zmtp) {
    zmtp->flags = zmtp->head[0];
    unsigned long long size = zmtp->head[1];
    if (zmtp->flags & LONG) {
        size = 0;
        for (int i = 0; i < 8; i++) size = size << 8 | zmtp->head[1 + i];
    }
    size_t most = zmtp->flags & COMMAND ? COMMAND_BYTES : zmtp->message.parts < 2 ? SMALL_PART : LARGEST_PART;
    if (zmtp->flags & ~(MORE | LONG | COMMAND) || size > most || zmtp->message.parts >= MESSAGE_PARTS) return -1;
    zmtp->body = malloc(size > 0 ? (size_t)size : 1);
    zmtp->body_size = (size_t)size;
    zmtp->body_bytes = 0;
    zmtp->in_body = 1;
    return zmtp->body == NULL ? -1 : 0;
}

/* A heartbeat is answered; other commands are none of ours. */
static int command(struct zmtp *zmtp) {
    unsigned char pong[5 + 16] = "\4PONG";
    size_t size = zmtp->body_size;
    int failed = 0;
    if (size >= 7 && size <= 7 + 16 && memcmp(zmtp->body, "\4PING", 5) == 0) {
        memcpy(pong + 5, zmtp->body + 7, size - 7);
        pthread_mutex_lock(&zmtp->sending);
        failed = send_frame(zmtp->fd, COMMAND, (struct part){pong, size - 2}, seconds_now() + 1);
        pthread_mutex_unlock(&zmtp->sending);
    }
    free(zmtp->body);
    zmtp->body = NULL;
    return failed;
}

/* The body of a frame is complete: 1 with a whole message, 0 with a part of one, -1. */
static int end_body(struct zmtp *zmtp, struct message *message) {
    zmtp->in_body = 0;
    zmtp->head_bytes = 0;
    if (zmtp->flags & COMMAND) return command(zmtp) == 0 ? 0 : -1;
    struct message *ours = &zmtp->message;
    ours->part[ours->parts].bytes = zmtp->body;
    ours->part[ours->parts++].size = zmtp->body_size;
    zmtp->body = NULL;
    if (zmtp->flags & MORE) return 0;
    *message = *ours;
    ours->parts = 0;
    return 1;
}

int zmtp_receive(struct zmtp *zmtp, struct message *message) {
    for (;;) {
        unsigned char *to = zmtp->in_body ? zmtp->body + zmtp->body_bytes : zmtp->head + zmtp->head_bytes;
        size_t head_size = zmtp->head_bytes > 0 && zmtp->head[0] & LONG ? 9 : 2;
        size_t missing = zmtp->in_body ? zmtp->body_size - zmtp->body_bytes : head_size - zmtp->head_bytes;
        if (missing > 0) {
            ssize_t came = recv(zmtp->fd, to, missing, 0);
            if (came == 0) return -1;
            if (came < 0 && errno == EINTR) continue;
            if (came < 0) return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -1;
            *(zmtp->in_body ? &zmtp->body_bytes : &zmtp->head_bytes) += (size_t)came;
            if ((size_t)came < missing || (!zmtp->in_body && zmtp->head_bytes == 2 && zmtp->head[0] & LONG)) continue;
        }
        if (!zmtp->in_body) {
            if (begin_body(zmtp) != 0) return -1;
        } else {
            int whole = end_body(zmtp, message);
            if (whole != 0) return whole;
        }
    }
}
