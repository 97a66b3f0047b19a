#include "wire.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "msgpack.h"
#include "zmtp.h"

enum { MAJOR = 1, MINOR = 2, ID = 16, PAIRS = 4, ATTEMPTS = 2, MISSED_PONGS = 4, STYLES_MOST = 4096 };
static const double CONNECT_S = 3, ASK_S = 5, SEND_S = 10, PAINT_S = 120, POLL_S = 0.02, AGAIN_S = 1, LEAVE_S = 3;
const size_t WIRE_SAMPLE_BYTES[] = {1, 2, 2, 4};
static const char *const DTYPES[] = {"uint8", "uint16", "float16", "float32"};

/* Shared memory of the server. Its pairs of slots belong to this side, but between Submit and the last message. */
struct ring {
    unsigned char *memory;
    size_t bytes, slot_bytes, first_slot;
    long long number;
    int users; /* the connection, and every request that holds a pair; the last one unmaps */
    int pairs, taken[PAIRS];
    long long generation[PAIRS];
};

enum state { WAITS, DONE, REFUSED, TAKEN_BACK, LATE, LOST };

struct request {
    struct request *next;
    unsigned char id[ID];
    enum state state;
    struct ring *ring; /* null: the samples go inside the messages */
    int pair;
    int sent;
    int forsaken; /* nobody waits any more; whoever receives the last message frees it */
    unsigned char *result;
    size_t result_bytes;
    char problem[WIRE_TEXT];
};

/* A question on control, one at a time. */
struct question {
    unsigned char id[ID];
    int open;
    unsigned char *answer; /* the header */
    size_t answer_bytes;
};

enum link { DOWN, CONNECTING, UP };

struct wire {
    pthread_mutex_t lock; /* guards everything below but what the two sockets guard themselves */
    pthread_cond_t changed;
    char program[WIRE_NAME], folder[WIRE_PATH];
    int callers, leaving;

    enum link link;
    int reader_runs;
    pthread_t reader;
    int wake[2];
    struct zmtp control, data;
    double heartbeat_s, not_before;
    char problem[WIRE_TEXT]; /* why the link is down */
    unsigned char session[ID];
    int credit, may_ring;

    int asking, opening;
    struct question question;
    struct ring *ring;
    struct request *requests;
};

/* Small things */

static void say(char problem[WIRE_TEXT], const char *format, ...) {
    va_list values;
    va_start(values, format);
    vsnprintf(problem, WIRE_TEXT, format, values);
    va_end(values);
}

static void random_id(unsigned char id[ID]) {
    static unsigned count;
    int fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
    ssize_t came = fd < 0 ? 0 : read(fd, id, ID);
    if (fd >= 0) close(fd);
    if (came == ID) return;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    memset(id, 0, ID);
    snprintf((char *)id, ID, "%x%lx%x", (unsigned)getpid(), (unsigned long)now.tv_nsec,
             __atomic_add_fetch(&count, 1, __ATOMIC_RELAXED));
}

/* Waits for a change for `POLL_S` at most, with the lock held, whatever happens to the clock on the wall. */
static void wait_for_change(struct wire *wire) {
#ifdef __APPLE__
    const struct timespec most = {0, (long)(1e9 * POLL_S)};
    pthread_cond_timedwait_relative_np(&wire->changed, &wire->lock, &most);
#else
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += (long)(1e9 * POLL_S);
    if (until.tv_nsec >= 1000000000) until.tv_sec++, until.tv_nsec -= 1000000000;
    pthread_cond_timedwait(&wire->changed, &wire->lock, &until);
#endif
}

static int send_header(struct zmtp *socket, const struct header *header, struct part samples, double until) {
    static const unsigned char PREAMBLE[8] = {'I', 'M', 'P', 'A', MAJOR, MINOR, 0, 0};
    const struct part parts[] = {{PREAMBLE, sizeof PREAMBLE}, {header->bytes, header->used}, samples};
    if (header->overflow) return -1;
    return zmtp_send(socket, parts, samples.bytes == NULL ? 2 : 3, until);
}

static const struct part NO_SAMPLES = {NULL, 0};

static struct header *new_header(const char *type, int entries) {
    struct header *header = malloc(sizeof *header);
    if (header == NULL) return NULL;
    header->used = 0;
    header->overflow = 0;
    put_map(header, (unsigned)entries + 1);
    put_text(header, "type");
    put_text(header, type);
    return header;
}

/* A message of its type and id alone, and of one number where it has a name. */
static int send_small(struct zmtp *socket, const char *type, const unsigned char *id, const char *name,
                      long long number) {
    struct header *header = new_header(type, (id != NULL ? 1 : 0) + (name != NULL ? 1 : 0));
    if (header == NULL) return -1;
    if (id != NULL) put_text(header, "id"), put_bytes(header, id, ID);
    if (name != NULL) put_text(header, name), put_whole(header, number);
    int failed = send_header(socket, header, NO_SAMPLES, seconds_now() + SEND_S);
    free(header);
    return failed;
}

static struct value header_of(const struct message *message) {
    static const unsigned char START[5] = {'I', 'M', 'P', 'A', MAJOR};
    if (message->parts < 2 || message->part[0].size != 8 || memcmp(message->part[0].bytes, START, sizeof START) != 0)
        return (struct value){NULL, NULL};
    return header_map(message->part[1].bytes, message->part[1].size);
}

static void error_text(struct value holder, char problem[WIRE_TEXT]) {
    if (!text_of(map_get(map_get(holder, "error"), "message"), problem, WIRE_TEXT))
        say(problem, "the render server refused without a reason; look into its log");
}

/* Rings and requests, with the lock held */

static void release_ring(struct ring *ring) {
    if (ring != NULL && --ring->users == 0) {
        munmap(ring->memory, ring->bytes);
        free(ring);
    }
}

static void free_request(struct wire *wire, struct request *request) {
    for (struct request **at = &wire->requests; *at != NULL; at = &(*at)->next)
        if (*at == request) {
            *at = request->next;
            break;
        }
    if (request->ring != NULL) request->ring->taken[request->pair] = 0;
    release_ring(request->ring);
    free(request->result);
    free(request);
    pthread_cond_broadcast(&wire->changed);
}

static void end_request(struct wire *wire, struct request *request, enum state state) {
    request->state = state;
    if (request->forsaken) free_request(wire, request);
    pthread_cond_broadcast(&wire->changed);
}

/* Receiving */

static void answer_request(struct wire *wire, struct request *request, struct value header, struct message *message) {
    if (is_text(map_get(header, "type"), "done")) {
        if (request->ring == NULL && message->parts > 2) {
            request->result = message->part[2].bytes;
            request->result_bytes = message->part[2].size;
            message->part[2].bytes = NULL;
        }
        end_request(wire, request, DONE);
    } else if (is_text(map_get(header, "type"), "failed")) {
        error_text(header, request->problem);
        end_request(wire, request, REFUSED);
    } else if (is_text(map_get(header, "type"), "cancelled")) {
        end_request(wire, request, TAKEN_BACK);
    } else if (is_text(map_get(header, "type"), "expired")) {
        end_request(wire, request, LATE);
    } /* "queued" only says that it takes a while */
}

/* What a message changes. Returns -1 with the reason where the connection ends by it. */
static int hear(struct wire *wire, struct message *message) {
    struct value header = header_of(message);
    if (header.at == NULL) {
        say(wire->problem, "the render server sent what is no message; upgrade the older of the two");
        return -1;
    }
    if (is_text(map_get(header, "type"), "rejected")) {
        error_text(header, wire->problem);
        return -1;
    }
    const unsigned char *id = bytes_of(map_get(header, "id"), ID);
    if (id == NULL) return 0; /* a pong, or news of the library */
    if (wire->question.open && memcmp(id, wire->question.id, ID) == 0) {
        wire->question.open = 0;
        wire->question.answer = message->part[1].bytes;
        wire->question.answer_bytes = message->part[1].size;
        message->part[1].bytes = NULL;
        pthread_cond_broadcast(&wire->changed);
        return 0;
    }
    for (struct request *request = wire->requests; request != NULL; request = request->next)
        if (request->state == WAITS && memcmp(id, request->id, ID) == 0) {
            answer_request(wire, request, header, message);
            break;
        }
    return 0;
}

/* Takes all messages that have come; how many, or -1. */
static int hear_all(struct wire *wire, struct zmtp *socket) {
    struct message message;
    int count = 0, came;
    while ((came = zmtp_receive(socket, &message)) > 0) {
        pthread_mutex_lock(&wire->lock);
        int failed = hear(wire, &message);
        pthread_mutex_unlock(&wire->lock);
        message_free(&message);
        if (failed) return -1;
        count++;
    }
    return came < 0 ? -1 : count;
}

static void lose(struct wire *wire) {
    pthread_mutex_lock(&wire->lock);
    if (wire->problem[0] == 0) say(wire->problem, "the render server closed the connection");
    wire->link = DOWN;
    wire->not_before = 0;
    wire->question.open = 0;
    for (struct request *request = wire->requests, *next; request != NULL; request = next) {
        next = request->next;
        if (request->state == WAITS) end_request(wire, request, LOST);
    }
    release_ring(wire->ring); /* a server that only lost us may still paint into it: it is not used again */
    wire->ring = NULL;
    pthread_cond_broadcast(&wire->changed);
    pthread_mutex_unlock(&wire->lock);
}

static void *read_messages(void *context) {
    struct wire *wire = context;
    double ping_at = seconds_now() + wire->heartbeat_s;
    int unanswered = 0;
    long long token = 0;
    for (;;) {
        struct pollfd look[] = {
            {wire->control.fd, POLLIN, 0}, {wire->data.fd, POLLIN, 0}, {wire->wake[0], POLLIN, 0}};
        double left = ping_at - seconds_now();
        poll(look, 3, left <= 0 ? 0 : (int)(1000 * left) + 1);
        if (look[2].revents) break;
        int control = hear_all(wire, &wire->control), data = hear_all(wire, &wire->data);
        if (control < 0 || data < 0) break;
        if (control + data > 0) unanswered = 0;
        if (seconds_now() < ping_at) continue;
        if (unanswered++ >= MISSED_PONGS) {
            pthread_mutex_lock(&wire->lock);
            say(wire->problem, "the render server has not answered for %g s; look at `impasto status`",
                (double)MISSED_PONGS * wire->heartbeat_s);
            pthread_mutex_unlock(&wire->lock);
            break;
        }
        ping_at = seconds_now() + wire->heartbeat_s;
        if (send_small(&wire->control, "ping", NULL, "token", ++token) != 0) break;
    }
    lose(wire);
    return NULL;
}

/* Connecting */

void wire_folder(char folder[WIRE_PATH]) {
    const char *named = getenv("IMPASTO_RUNTIME"), *session = getenv("XDG_RUNTIME_DIR"), *temp = getenv("TMPDIR");
    if (named != NULL && named[0] != 0)
        snprintf(folder, WIRE_PATH, "%s", named);
    else if (session != NULL && session[0] != 0)
        snprintf(folder, WIRE_PATH, "%s/impasto-server", session);
    else
        snprintf(folder, WIRE_PATH, "%s/impasto-%u", temp != NULL && temp[0] != 0 ? temp : "/tmp", (unsigned)geteuid());
}

/* Only a folder that nobody else can reach into holds the server of this user. */
static int check_folder(const char *folder, char problem[WIRE_TEXT]) {
    struct stat facts;
    if (lstat(folder, &facts) != 0) {
        say(problem, "no render server runs (none in '%s'); press Start server, or run `impasto serve` in a terminal",
            folder);
        return -1;
    }
    if (!S_ISDIR(facts.st_mode) || facts.st_uid != geteuid() || facts.st_mode & 077) {
        say(problem, "expected '%s' to be a folder of this user alone (mode 0700); run: chmod 700 '%s'", folder, folder);
        return -1;
    }
    return 0;
}

/* The next message of a socket while nobody else reads it; its header, or `at` null. */
static struct value await_message(struct zmtp *socket, struct message *message, double until) {
    message->parts = 0;
    for (;;) {
        int came = zmtp_receive(socket, message);
        if (came > 0) return header_of(message);
        double left = until - seconds_now();
        if (came < 0 || left <= 0) return (struct value){NULL, NULL};
        struct pollfd look = {socket->fd, POLLIN, 0};
        poll(&look, 1, (int)(1000 * left) + 1);
    }
}

static int take_welcome(struct wire *wire, struct value welcome, char problem[WIRE_TEXT]) {
    const unsigned char *session = bytes_of(map_get(welcome, "session"), ID);
    if (is_text(map_get(welcome, "type"), "rejected")) {
        error_text(welcome, problem);
        return -1;
    }
    if (!is_text(map_get(welcome, "type"), "welcome") || session == NULL) {
        say(problem, "the render server in '%s' did not answer in time; look at `impasto status`", wire->folder);
        return -1;
    }
    memcpy(wire->session, session, ID);
    wire->heartbeat_s = real_of(map_get(welcome, "heartbeat_s"), 2);
    if (!(wire->heartbeat_s >= 0.1)) wire->heartbeat_s = 2;
    long long credit = whole_of(map_get(welcome, "credit_frames"), 1);
    wire->credit = credit < 1 ? 1 : credit > 64 ? 64 : (int)credit;
    wire->may_ring = 0;
    struct value transport;
    for (unsigned left = array_items(map_get(welcome, "transports"), &transport); left > 0; left--) {
        if (is_text(transport, "ring")) wire->may_ring = 1;
        transport = next_value(transport);
    }
    return 0;
}

static int shake_hands(struct wire *wire, double until, char problem[WIRE_TEXT]) {
    struct message message;
    struct header *hello = new_header("hello", 7);
    if (hello == NULL) return -1;
    const char *user = getenv("USER");
    put_text(hello, "client"), put_text(hello, wire->program);
    put_text(hello, "major"), put_whole(hello, MAJOR);
    put_text(hello, "minor"), put_whole(hello, MINOR);
    put_text(hello, "pid"), put_whole(hello, getpid());
    put_text(hello, "user"), put_text(hello, user != NULL ? user : "");
    put_text(hello, "lane"), put_text(hello, "interactive");
    put_text(hello, "encodings"), put_array(hello, 1), put_text(hello, "raw");
    int failed = send_header(&wire->control, hello, NO_SAMPLES, until);
    free(hello);
    struct value answer = failed ? (struct value){NULL, NULL} : await_message(&wire->control, &message, until);
    failed = take_welcome(wire, answer, problem);
    if (answer.at != NULL) message_free(&message);
    if (failed) return -1;

    struct header *join = new_header("join", 1);
    if (join == NULL) return -1;
    put_text(join, "session"), put_bytes(join, wire->session, ID);
    failed = send_header(&wire->data, join, NO_SAMPLES, until);
    free(join);
    answer = failed ? (struct value){NULL, NULL} : await_message(&wire->data, &message, until);
    failed = !is_text(map_get(answer, "type"), "joined");
    if (failed) say(problem, "the render server in '%s' did not take this client; try again", wire->folder);
    if (answer.at != NULL) message_free(&message);
    return failed ? -1 : 0;
}

static int connect_now(struct wire *wire, char problem[WIRE_TEXT]) {
    char path[WIRE_PATH + 16];
    double until = seconds_now() + CONNECT_S;
    if (check_folder(wire->folder, problem) != 0) return -1;
    struct zmtp *const sockets[] = {&wire->control, &wire->data};
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s", wire->folder, i == 0 ? "control.sock" : "data.sock");
        if (zmtp_open(sockets[i], path, until) != 0) {
            say(problem,
                errno == ENOENT || errno == ECONNREFUSED
                    ? "no render server runs in '%s'; press Start server, or run `impasto serve` in a terminal"
                    : "the render server in '%s' cannot be reached: %s",
                wire->folder, strerror(errno));
            return -1;
        }
    }
    return shake_hands(wire, until, problem);
}

static void close_sockets(struct wire *wire) {
    struct zmtp *const sockets[] = {&wire->control, &wire->data};
    for (int i = 0; i < 2; i++) {
        pthread_mutex_lock(&sockets[i]->sending);
        zmtp_close(sockets[i]);
        pthread_mutex_unlock(&sockets[i]->sending);
    }
}

/* Sees to it, with the lock held, that the link is up. -1 with the reason where it cannot be. */
static int require_link(struct wire *wire, char problem[WIRE_TEXT]) {
    while (wire->link == CONNECTING && !wire->leaving) wait_for_change(wire);
    if (wire->link == UP) return 0;
    /* A timeline that is full of frames does not try to connect for each of them. */
    if (wire->leaving || seconds_now() < wire->not_before) {
        say(problem, "%s", wire->leaving ? "the host unloads the plug-in" : wire->problem);
        return -1;
    }
    wire->link = CONNECTING;
    int joins = wire->reader_runs;
    pthread_mutex_unlock(&wire->lock);
    if (joins) pthread_join(wire->reader, NULL);
    close_sockets(wire);
    int failed = connect_now(wire, problem);
    pthread_mutex_lock(&wire->lock);
    wire->problem[0] = 0;
    wire->reader_runs = !failed && pthread_create(&wire->reader, NULL, read_messages, wire) == 0;
    wire->link = wire->reader_runs ? UP : DOWN;
    if (wire->link == DOWN) {
        if (!failed) say(problem, "expected another thread for the render server's messages, got none");
        say(wire->problem, "%s", problem);
        wire->not_before = seconds_now() + AGAIN_S;
        close_sockets(wire);
    }
    pthread_cond_broadcast(&wire->changed);
    return wire->link == UP ? 0 : -1;
}

/* Questions */

/* Asks on control, with the lock held, and waits; the answer's header, which the caller frees, or null. */
static unsigned char *ask(struct wire *wire, struct header *header, const unsigned char id[ID], size_t *size) {
    double until = seconds_now() + ASK_S;
    while (wire->asking && wire->link == UP && seconds_now() < until) wait_for_change(wire);
    if (wire->asking || wire->link != UP) return NULL;
    wire->asking = 1;
    memcpy(wire->question.id, id, ID);
    wire->question.open = 1;
    wire->question.answer = NULL;
    pthread_mutex_unlock(&wire->lock);
    int failed = send_header(&wire->control, header, NO_SAMPLES, until);
    pthread_mutex_lock(&wire->lock);
    while (!failed && wire->question.open && !wire->leaving && seconds_now() < until) wait_for_change(wire);
    wire->question.open = 0;
    wire->asking = 0;
    *size = wire->question.answer_bytes;
    pthread_cond_broadcast(&wire->changed);
    return wire->question.answer;
}

int wire_styles(struct wire *wire, void (*name)(void *, const char *), void *context, char problem[WIRE_TEXT]) {
    int told = 0, total = 1, failed;
    pthread_mutex_lock(&wire->lock);
    wire->callers++;
    failed = require_link(wire, problem);
    while (!failed && told < total) {
        unsigned char id[ID];
        random_id(id);
        struct header *header = new_header("list_styles", 2);
        if (header == NULL) break;
        put_text(header, "id"), put_bytes(header, id, ID);
        put_text(header, "offset"), put_whole(header, told);
        size_t size = 0;
        unsigned char *answer = ask(wire, header, id, &size);
        free(header);
        struct value page = answer == NULL ? (struct value){NULL, NULL} : header_map(answer, size), style;
        unsigned count = array_items(map_get(page, "styles"), &style);
        total = (int)whole_of(map_get(page, "total"), 0);
        if (total > STYLES_MOST) total = STYLES_MOST;
        for (unsigned i = 0; i < count && told < total; i++, told++) {
            char text[WIRE_NAME];
            if (text_of(map_get(style, "name"), text, sizeof text)) name(context, text);
            style = next_value(style);
        }
        free(answer);
        if (count == 0) break;
    }
    wire->callers--;
    pthread_cond_broadcast(&wire->changed);
    pthread_mutex_unlock(&wire->lock);
    if (!failed && told == 0) say(problem, "the render server did not list its styles; look at `impasto status`");
    return told > 0 ? told : -1;
}

/* The ring */

/* Maps what the server offers, after a look at what it is: in another container the path may be somebody else's. */
static unsigned char *map_ring(const char *path, size_t bytes) {
    char link[64] = "";
    int is_memory = strncmp(path, "/proc/", 6) == 0;
    if (is_memory && (readlink(path, link, sizeof link - 1) < 0 || strncmp(link, "/memfd:impasto-", 15) != 0)) return NULL;
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK | (is_memory ? 0 : O_NOFOLLOW));
    struct stat facts;
    void *memory = MAP_FAILED;
    if (fd >= 0 && fstat(fd, &facts) == 0 && S_ISREG(facts.st_mode) && facts.st_uid == geteuid() &&
        (size_t)facts.st_size == bytes)
        memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fd >= 0) close(fd);
    return memory == MAP_FAILED ? NULL : memory;
}

static struct ring *ring_of(struct value offer) {
    char path[WIRE_PATH];
    long long bytes = whole_of(map_get(offer, "segment_bytes"), 0), slot = whole_of(map_get(offer, "slot_bytes"), 0);
    long long first = whole_of(map_get(offer, "first_slot"), 0), nonce = whole_of(map_get(offer, "nonce_offset"), -1);
    long long pairs = whole_of(map_get(offer, "pairs"), 0);
    if (!is_text(map_get(offer, "type"), "ring_offered") || !text_of(map_get(offer, "path"), path, sizeof path) ||
        pairs < 1 || pairs > PAIRS || slot < 1 || first < 0 || nonce < 0 || nonce + ID > first ||
        slot > (bytes - first) / (2 * pairs))
        return NULL;
    struct ring *ring = calloc(1, sizeof *ring);
    if (ring == NULL) return NULL;
    ring->bytes = (size_t)bytes, ring->slot_bytes = (size_t)slot, ring->first_slot = (size_t)first;
    ring->number = whole_of(map_get(offer, "ring"), 0);
    ring->pairs = (int)pairs;
    ring->users = 1;
    ring->memory = map_ring(path, ring->bytes);
    if (ring->memory == NULL) {
        free(ring);
        return NULL;
    }
    return ring;
}

/* Opens a ring of larger slots in the place of the old, with the lock held. Without one, samples go inside messages. */
static void open_ring(struct wire *wire, size_t slot_bytes) {
    unsigned char id[ID];
    size_t size = 0;
    random_id(id);
    struct header *header = new_header("open_ring", 3);
    if (header == NULL) return;
    put_text(header, "id"), put_bytes(header, id, ID);
    put_text(header, "slot_bytes"), put_whole(header, (long long)slot_bytes);
    put_text(header, "pairs"), put_whole(header, PAIRS);
    unsigned char *answer = ask(wire, header, id, &size);
    free(header);
    struct value offer = answer == NULL ? (struct value){NULL, NULL} : header_map(answer, size);
    if (!is_text(map_get(offer, "type"), "ring_offered")) { /* no memory now: this frame does without */
        free(answer);
        return;
    }
    struct ring *ring = ring_of(offer);
    long long number = whole_of(map_get(offer, "ring"), 0), nonce = whole_of(map_get(offer, "nonce_offset"), 0);
    free(answer);
    if (ring == NULL) { /* another container: no memory in common */
        wire->may_ring = 0;
        pthread_mutex_unlock(&wire->lock);
        send_small(&wire->control, "close_ring", NULL, "ring", number);
        pthread_mutex_lock(&wire->lock);
        return;
    }
    random_id(id);
    header = new_header("attach_ring", 3);
    answer = NULL;
    if (header != NULL) {
        put_text(header, "id"), put_bytes(header, id, ID);
        put_text(header, "ring"), put_whole(header, number);
        put_text(header, "nonce"), put_bytes(header, ring->memory + nonce, ID);
        answer = ask(wire, header, id, &size);
        free(header);
    }
    int ready = answer != NULL && is_text(map_get(header_map(answer, size), "type"), "ring_ready");
    free(answer);
    if (!ready) wire->may_ring = 0;
    if (!ready || wire->link != UP) {
        release_ring(ring);
        return;
    }
    release_ring(wire->ring);
    wire->ring = ring;
}

static int pairs_taken(const struct ring *ring) {
    int taken = 0;
    for (int i = 0; ring != NULL && i < ring->pairs; i++) taken += ring->taken[i];
    return taken;
}

static int frames_under_way(const struct wire *wire) {
    int count = 0;
    for (const struct request *request = wire->requests; request != NULL; request = request->next)
        count += request->sent && request->state == WAITS;
    return count;
}

/* Painting */

enum turn { GO_ON, WAIT };

/* Gives the request a pair, or decides that it goes inside the message; WAIT where it must wait for others. */
static enum turn reserve(struct wire *wire, struct request *request, size_t bytes) {
    if (frames_under_way(wire) >= wire->credit || wire->opening) return WAIT;
    if (!wire->may_ring) return GO_ON;
    if (wire->ring == NULL || wire->ring->slot_bytes < bytes) {
        if (pairs_taken(wire->ring) > 0) return WAIT;
        wire->opening = 1;
        open_ring(wire, bytes);
        wire->opening = 0;
        pthread_cond_broadcast(&wire->changed);
        if (wire->ring == NULL || wire->ring->slot_bytes < bytes) return GO_ON;
    }
    struct ring *ring = wire->ring;
    for (int i = 0; i < ring->pairs; i++)
        if (!ring->taken[i]) {
            ring->taken[i] = 1;
            ring->users++;
            ring->generation[i]++;
            request->ring = ring;
            request->pair = i;
            return GO_ON;
        }
    return WAIT;
}

static void put_look(struct header *header, const struct wire_frame *frame) {
    const struct {
        const char *name;
        double value;
    } params[] = {{"strength", frame->strength},
                  {"stroke", frame->stroke},
                  {"colour", frame->colour},
                  {"detail", frame->detail},
                  {"exposure", frame->exposure}};
    put_text(header, "look"), put_map(header, 2);
    put_text(header, "style"), put_text(header, frame->style);
    put_text(header, "params"), put_map(header, sizeof params / sizeof *params);
    for (size_t i = 0; i < sizeof params / sizeof *params; i++)
        put_text(header, params[i].name), put_real(header, params[i].value);
}

static struct header *submit_header(const struct wire_frame *frame, const struct request *request, size_t row) {
    struct header *header = new_header("submit", request->ring != NULL ? 6 : 5);
    if (header == NULL) return NULL;
    put_text(header, "id"), put_bytes(header, request->id, ID);
    put_look(header, frame);
    put_text(header, "picture"), put_map(header, 8);
    put_text(header, "width"), put_whole(header, frame->width);
    put_text(header, "height"), put_whole(header, frame->height);
    put_text(header, "channels"), put_whole(header, frame->channels);
    put_text(header, "dtype"), put_text(header, DTYPES[frame->dtype]);
    put_text(header, "row_stride"), put_whole(header, (long long)row);
    put_text(header, "bottom_up"), put_true(header, 1);
    put_text(header, "alpha"), put_text(header, frame->unassociated ? "unassociated" : "associated");
    put_text(header, "colour_space"), put_text(header, frame->colour_space);
    put_text(header, "frame"), put_whole(header, frame->number);
    put_text(header, "viewer"), put_text(header, frame->viewer);
    if (request->ring != NULL) {
        put_text(header, "slot"), put_map(header, 3);
        put_text(header, "ring"), put_whole(header, request->ring->number);
        put_text(header, "pair"), put_whole(header, request->pair);
        put_text(header, "generation"), put_whole(header, request->ring->generation[request->pair]);
    }
    return header;
}

static unsigned char *slot_of(const struct request *request, int result) {
    const struct ring *ring = request->ring;
    return ring->memory + ring->first_slot + (2 * (size_t)request->pair + (size_t)result) * ring->slot_bytes;
}

/* Writes the plate and sends it, without the lock. */
static int submit(struct wire *wire, const struct wire_frame *frame, struct request *request, size_t row) {
    size_t bytes = row * (size_t)frame->height;
    struct part samples = NO_SAMPLES;
    unsigned char *own = NULL;
    struct header *header = submit_header(frame, request, row);
    if (request->ring == NULL) samples = (struct part){own = malloc(bytes), bytes};
    int failed = header == NULL || (request->ring == NULL && own == NULL);
    if (!failed) {
        frame->write(frame->context, own != NULL ? own : slot_of(request, 0));
        failed = send_header(&wire->data, header, samples, seconds_now() + SEND_S);
    }
    free(header);
    free(own);
    return failed;
}

/* What became of a request, with the lock held. Its pair is given back. */
static enum wire_end conclude(struct wire *wire, const struct wire_frame *frame, struct request *request, size_t bytes,
                              char problem[WIRE_TEXT]) {
    enum wire_end end = WIRE_FAILED;
    if (request->state == DONE && request->ring == NULL && request->result_bytes != bytes) {
        say(problem, "expected %zu bytes from the render server, got %zu", bytes, request->result_bytes);
    } else if (request->state == DONE) {
        pthread_mutex_unlock(&wire->lock);
        frame->read(frame->context, request->ring != NULL ? slot_of(request, 1) : request->result);
        pthread_mutex_lock(&wire->lock);
        end = WIRE_PAINTED;
    } else if (request->state == REFUSED) {
        say(problem, "%s", request->problem);
    } else if (request->state == LOST) {
        say(problem, "%s", wire->problem[0] != 0 ? wire->problem : "the render server closed the connection");
        end = WIRE_NO_SERVER;
    } else {
        say(problem, "a newer frame took the place of this one");
        end = WIRE_ABORTED;
    }
    free_request(wire, request);
    return end;
}

/* One attempt, with the lock held. */
static enum wire_end paint_once(struct wire *wire, const struct wire_frame *frame, double until,
                                char problem[WIRE_TEXT]) {
    size_t row = (size_t)frame->width * (size_t)frame->channels * WIRE_SAMPLE_BYTES[frame->dtype];
    size_t bytes = row * (size_t)frame->height;
    struct request *request = calloc(1, sizeof *request);
    if (request == NULL) {
        say(problem, "expected memory for a request, got none");
        return WIRE_FAILED;
    }
    random_id(request->id);
    request->next = wire->requests;
    wire->requests = request;
    while (request->state == WAITS) {
        if (wire->leaving || frame->aborted(frame->context) || seconds_now() >= until) {
            int late = seconds_now() >= until;
            if (late) say(problem, "the render server did not paint within %g s; look at `impasto status`", PAINT_S);
            if (!request->sent) {
                free_request(wire, request);
                return late ? WIRE_FAILED : WIRE_ABORTED;
            }
            unsigned char id[ID];
            memcpy(id, request->id, ID);
            request->forsaken = 1; /* its pair is the server's until it says that it has stopped */
            pthread_mutex_unlock(&wire->lock);
            send_small(&wire->control, "cancel", id, NULL, 0);
            pthread_mutex_lock(&wire->lock);
            return late ? WIRE_FAILED : WIRE_ABORTED;
        }
        if (!request->sent && wire->link == UP && reserve(wire, request, bytes) == GO_ON && request->state == WAITS) {
            request->sent = 1;
            pthread_mutex_unlock(&wire->lock);
            int failed = submit(wire, frame, request, row);
            pthread_mutex_lock(&wire->lock);
            if (failed && request->state == WAITS) request->state = LOST;
            continue;
        }
        wait_for_change(wire);
    }
    return conclude(wire, frame, request, bytes, problem);
}

enum wire_end wire_paint(struct wire *wire, const struct wire_frame *frame, char problem[WIRE_TEXT]) {
    double until = seconds_now() + PAINT_S;
    enum wire_end end = WIRE_NO_SERVER;
    problem[0] = 0;
    pthread_mutex_lock(&wire->lock);
    wire->callers++;
    for (int attempt = 0; attempt < ATTEMPTS && end == WIRE_NO_SERVER && !wire->leaving; attempt++) {
        if (require_link(wire, problem) != 0) break;
        end = paint_once(wire, frame, until, problem);
    }
    wire->callers--;
    pthread_cond_broadcast(&wire->changed);
    pthread_mutex_unlock(&wire->lock);
    return end;
}

/* Beginning and end */

struct wire *wire_new(const char *program, const char *folder) {
    struct wire *wire = calloc(1, sizeof *wire);
    if (wire == NULL || pipe(wire->wake) != 0) {
        free(wire);
        return NULL;
    }
    for (int i = 0; i < 2; i++) fcntl(wire->wake[i], F_SETFD, FD_CLOEXEC);
    pthread_mutex_init(&wire->lock, NULL);
    pthread_condattr_t clock;
    pthread_condattr_init(&clock);
#ifndef __APPLE__
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
#endif
    pthread_cond_init(&wire->changed, &clock);
    pthread_condattr_destroy(&clock);
    zmtp_init(&wire->control);
    zmtp_init(&wire->data);
    snprintf(wire->program, sizeof wire->program, "%s", program);
    if (folder != NULL)
        snprintf(wire->folder, sizeof wire->folder, "%s", folder);
    else
        wire_folder(wire->folder);
    return wire;
}

void wire_free(struct wire *wire) {
    double until = seconds_now() + LEAVE_S;
    pthread_mutex_lock(&wire->lock);
    wire->leaving = 1;
    pthread_cond_broadcast(&wire->changed);
    while ((wire->callers > 0 || wire->link == CONNECTING) && seconds_now() < until) wait_for_change(wire);
    int still_used = wire->callers > 0 || wire->link == CONNECTING, up = wire->link == UP, joins = wire->reader_runs;
    pthread_mutex_unlock(&wire->lock);
    if (still_used) return; /* a host that unloads while it renders: memory is lost rather than taken from under it */
    if (up) send_small(&wire->control, "goodbye", NULL, NULL, 0);
    if (joins) {
        (void)!write(wire->wake[1], "", 1);
        pthread_join(wire->reader, NULL);
    }
    close_sockets(wire);
    while (wire->requests != NULL) free_request(wire, wire->requests);
    for (int i = 0; i < 2; i++) close(wire->wake[i]);
    pthread_mutex_destroy(&wire->control.sending);
    pthread_mutex_destroy(&wire->data.sending);
    pthread_mutex_destroy(&wire->lock);
    pthread_cond_destroy(&wire->changed);
    free(wire);
}
