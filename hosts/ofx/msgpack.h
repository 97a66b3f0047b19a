/* Headers of the wire: the part of msgpack (https://github.com/msgpack/msgpack/blob/master/spec.md) that
   server/protocol uses. A header is one map with string keys, at most 64 KiB. */
#ifndef IMPASTO_MSGPACK_H
#define IMPASTO_MSGPACK_H

#include <stddef.h>

enum { HEADER_BYTES = 64 * 1024 };

/* A header that is being written. `overflow` is set where it did not fit; nothing is written beyond `bytes`. */
struct header {
    size_t used;
    int overflow;
    unsigned char bytes[HEADER_BYTES];
};

void put_map(struct header *, unsigned entries);
void put_array(struct header *, unsigned items);
void put_text(struct header *, const char *text);
void put_bytes(struct header *, const void *bytes, size_t size);
void put_whole(struct header *, long long number);
void put_real(struct header *, double number);
void put_true(struct header *, int truth);

/* One value inside a received header. `at` is null where there is none. */
struct value {
    const unsigned char *at, *end;
};

/* The map of a received header, checked as a whole: bounds, depth, nothing behind it. `at` is null where it is bad. */
struct value header_map(const unsigned char *bytes, size_t size);
struct value map_get(struct value map, const char *key);
/* The number of items, and the first of them; `next_value` leads to the following ones. */
unsigned array_items(struct value array, struct value *first);
struct value next_value(struct value value);
/* Copies a text, cut to `room` with its final zero; returns 1, or 0 where the value is no text (then it is empty). */
int text_of(struct value value, char *text, size_t room);
int is_text(struct value value, const char *text);
const unsigned char *bytes_of(struct value value, size_t size);
long long whole_of(struct value value, long long otherwise);
double real_of(struct value value, double otherwise);

#endif
