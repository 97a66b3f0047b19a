/* A DEALER socket of ZeroMQ over a Unix socket, by hand: ZMTP 3.1 (https://rfc.zeromq.org/spec/37) with the NULL
   mechanism. The server's side is a ROUTER of libzmq. */
#ifndef IMPASTO_ZMTP_H
#define IMPASTO_ZMTP_H

#include <pthread.h>
#include <stddef.h>

enum { MESSAGE_PARTS = 4 }; /* preamble, header, and the samples of an inline result */

struct part {
    const void *bytes;
    size_t size;
};

struct message {
    int parts;
    struct {
        unsigned char *bytes; /* allocated */
        size_t size;
    } part[MESSAGE_PARTS];
};

struct zmtp {
    int fd;
    pthread_mutex_t sending; /* held for one message, so that those of two threads do not mix */
    unsigned char head[9];
    size_t head_bytes, body_bytes; /* of the frame that is being received */
    int flags, in_body;
    unsigned char *body;
    size_t body_size;
    struct message message; /* of which parts have come */
};

void zmtp_init(struct zmtp *);
/* Connects to the Unix socket `path` and shakes hands. Returns 0, or -1 with errno. */
int zmtp_open(struct zmtp *, const char *path, double until);
void zmtp_close(struct zmtp *);
/* Sends one message, waiting until then at most. Returns 0, or -1: the connection is of no more use. */
int zmtp_send(struct zmtp *, const struct part *parts, int count, double until);
/* Takes one message, which the caller frees: 1. 0: none is complete yet. -1: the connection is lost. Never waits. */
int zmtp_receive(struct zmtp *, struct message *);
void message_free(struct message *);

double seconds_now(void); /* of a clock that only goes forward */

#endif
