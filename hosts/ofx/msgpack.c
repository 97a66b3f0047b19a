#include "msgpack.h"

#include <string.h>

enum { DEPTH = 8 };

/* Writing */

static void put(struct header *header, const void *bytes, size_t size) {
    if (size > sizeof header->bytes - header->used) {
        header->overflow = 1;
        return;
    }
    memcpy(header->bytes + header->used, bytes, size);
    header->used += size;
}

static void put_tagged(struct header *header, unsigned tag, unsigned long long number, int bytes) {
    unsigned char out[9] = {(unsigned char)tag};
    for (int i = 0; i < bytes; i++) out[1 + i] = (unsigned char)(number >> 8 * (bytes - 1 - i));
    put(header, out, 1 + (size_t)bytes);
}

void put_map(struct header *header, unsigned entries) { put_tagged(header, 0xde, entries, 2); }

void put_array(struct header *header, unsigned items) { put_tagged(header, 0xdc, items, 2); }

void put_text(struct header *header, const char *text) {
    size_t size = strlen(text);
    put_tagged(header, 0xda, size, 2);
    put(header, text, size);
    if (size > 0xffff) header->overflow = 1;
}

void put_bytes(struct header *header, const void *bytes, size_t size) {
    put_tagged(header, 0xc5, size, 2);
    put(header, bytes, size);
}

void put_whole(struct header *header, long long number) { put_tagged(header, 0xd3, (unsigned long long)number, 8); }

void put_real(struct header *header, double number) {
    unsigned long long bits;
    memcpy(&bits, &number, sizeof bits);
    put_tagged(header, 0xcb, bits, 8);
}

void put_true(struct header *header, int truth) { put_tagged(header, truth ? 0xc3 : 0xc2, 0, 0); }

/* Reading */

enum kind { NOTHING, WHOLE, REAL, TEXT, BYTES, ARRAY, MAP, OTHER };

struct head {
    enum kind kind;
    const unsigned char *body;
    unsigned long long number; /* the whole, the bits of the real, or the count of bytes, items or entries */
    int single;                /* a real of four bytes */
};

static unsigned long long big_endian(const unsigned char *at, int bytes) {
    unsigned long long number = 0;
    for (int i = 0; i < bytes; i++) number = number << 8 | at[i];
    return number;
}

/* How the tags from 0xc0 on continue: the kind, and the bytes of the number behind the tag. */
static const struct {
    unsigned char kind, bytes;
} TAGS[0x20] = {
    {OTHER, 0}, {NOTHING, 0}, {OTHER, 0}, {OTHER, 0}, {BYTES, 1}, {BYTES, 2}, {BYTES, 4}, {NOTHING, 0},
    {NOTHING, 0}, {NOTHING, 0}, {REAL, 4}, {REAL, 8}, {WHOLE, 1}, {WHOLE, 2}, {WHOLE, 4}, {WHOLE, 8},
    {WHOLE, 1}, {WHOLE, 2}, {WHOLE, 4}, {WHOLE, 8}, {NOTHING, 0}, {NOTHING, 0}, {NOTHING, 0}, {NOTHING, 0},
    {NOTHING, 0}, {TEXT, 1}, {TEXT, 2}, {TEXT, 4}, {ARRAY, 2}, {ARRAY, 4}, {MAP, 2}, {MAP, 4},
};

/* The tag of the value at `at` and what it says. Kind NOTHING where the bytes end, or for what headers never hold. */
static struct head head_of(const unsigned char *at, const unsigned char *end) {
    struct head head = {NOTHING, at, 0, 0};
    if (at == NULL || at >= end) return head;
    unsigned tag = *at;
    head.body = at + 1;
    if (tag < 0x80) return (struct head){WHOLE, at + 1, tag, 0};
    if (tag < 0x90) return (struct head){MAP, at + 1, tag & 0x0f, 0};
    if (tag < 0xa0) return (struct head){ARRAY, at + 1, tag & 0x0f, 0};
    if (tag < 0xc0) return (struct head){TEXT, at + 1, tag & 0x1f, 0};
    if (tag >= 0xe0) return (struct head){WHOLE, at + 1, (unsigned long long)((long long)tag - 0x100), 0};
    int bytes = TAGS[tag - 0xc0].bytes;
    if (end - head.body < bytes) return head;
    head.kind = (enum kind)TAGS[tag - 0xc0].kind;
    head.number = big_endian(head.body, bytes);
    if (tag >= 0xd0 && tag < 0xd3) { /* a signed number of 8, 16 or 32 bits */
        unsigned long long sign = 1ull << (8 * bytes - 1);
        head.number = (head.number ^ sign) - sign;
    }
    head.single = tag == 0xca;
    head.body += bytes;
    return head;
}

/* Behind the value at `at`, or null where it is bad. */
static const unsigned char *behind(const unsigned char *at, const unsigned char *end, int depth) {
    struct head head = head_of(at, end);
    if (head.kind == NOTHING || depth > DEPTH) return NULL;
    if (head.kind == TEXT || head.kind == BYTES)
        return head.number > (size_t)(end - head.body) ? NULL : head.body + head.number;
    if (head.kind != ARRAY && head.kind != MAP) return head.body;
    unsigned long long values = head.kind == MAP ? 2 * head.number : head.number;
    at = head.body;
    for (; values > 0 && at != NULL; values--) at = behind(at, end, depth + 1);
    return at;
}

struct value header_map(const unsigned char *bytes, size_t size) {
    const unsigned char *end = bytes + size;
    int good = head_of(bytes, end).kind == MAP && behind(bytes, end, 0) == end;
    return (struct value){good ? bytes : NULL, end};
}

struct value next_value(struct value value) {
    return (struct value){value.at == NULL ? NULL : behind(value.at, value.end, 0), value.end};
}

struct value map_get(struct value map, const char *key) {
    struct head head = head_of(map.at, map.end);
    struct value entry = {head.body, map.end};
    for (unsigned long long left = head.kind == MAP ? head.number : 0; left > 0; left--) {
        struct value found = next_value(entry);
        if (is_text(entry, key)) return found;
        entry = next_value(found);
    }
    return (struct value){NULL, NULL};
}

unsigned array_items(struct value array, struct value *first) {
    struct head head = head_of(array.at, array.end);
    *first = (struct value){head.body, array.end};
    return head.kind == ARRAY ? (unsigned)head.number : 0;
}

int text_of(struct value value, char *text, size_t room) {
    struct head head = head_of(value.at, value.end);
    size_t size = head.kind != TEXT ? 0 : head.number < room - 1 ? (size_t)head.number : room - 1;
    if (size > 0) memcpy(text, head.body, size);
    while (size > 0 && head.number > size && (text[size - 1] & 0x80)) size--; /* no half of a letter at the cut */
    text[size] = 0;
    return head.kind == TEXT;
}

int is_text(struct value value, const char *text) {
    struct head head = head_of(value.at, value.end);
    return head.kind == TEXT && head.number == strlen(text) && memcmp(head.body, text, (size_t)head.number) == 0;
}

const unsigned char *bytes_of(struct value value, size_t size) {
    struct head head = head_of(value.at, value.end);
    return head.kind == BYTES && head.number == size ? head.body : NULL;
}

long long whole_of(struct value value, long long otherwise) {
    struct head head = head_of(value.at, value.end);
    return head.kind == WHOLE ? (long long)head.number : otherwise;
}

double real_of(struct value value, double otherwise) {
    struct head head = head_of(value.at, value.end);
    if (head.kind == WHOLE) return (double)(long long)head.number;
    if (head.kind != REAL) return otherwise;
    double number;
    if (head.single) {
        unsigned bits = (unsigned)head.number;
        float narrow;
        memcpy(&narrow, &bits, sizeof narrow);
        return narrow;
    }
    memcpy(&number, &head.number, sizeof number);
    return number;
}
