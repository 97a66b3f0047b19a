/* A client of the render server on this machine, message by message as server/protocol/messages describes them:
   one connection for the whole process, any number of threads, every wait with a time limit. */
#ifndef IMPASTO_WIRE_H
#define IMPASTO_WIRE_H

#include <stddef.h>

enum { WIRE_TEXT = 1024, WIRE_NAME = 256, WIRE_PATH = 4096 };

enum wire_dtype { WIRE_UINT8, WIRE_UINT16, WIRE_FLOAT16, WIRE_FLOAT32 };

extern const size_t WIRE_SAMPLE_BYTES[]; /* of each dtype */

/* A frame to be painted. Rows are dense, the lowest first, channels interleaved. */
struct wire_frame {
    const char *style;        /* a name of the library, NAME@A=0.7+B=0.3, or the absolute path of a .safetensors file */
    const char *colour_space; /* empty: scene-linear Rec.709 for floats, sRGB for integers */
    const char *viewer;       /* a newer frame of the same viewer supersedes those that still wait */
    int width, height, channels;
    enum wire_dtype dtype;
    int unassociated;         /* colour is not multiplied by alpha */
    int number;
    double strength, stroke, colour, detail, exposure;

    void *context;
    void (*write)(void *context, unsigned char *samples);      /* called once with the memory of the plate, or twice
                                                                  where the server was lost in between */
    void (*read)(void *context, const unsigned char *samples); /* called once, where the frame was painted */
    int (*aborted)(void *context);                             /* asked every 20 ms */
};

enum wire_end {
    WIRE_PAINTED,
    WIRE_ABORTED,   /* the host wants the frame no more, or asks for a newer one */
    WIRE_FAILED,    /* `problem` says why */
    WIRE_NO_SERVER, /* none runs, or it was lost; `problem` says what to do */
};

struct wire;

/* A client that connects when it is first needed. `folder` is the server's runtime folder, null for the user's own. */
struct wire *wire_new(const char *program, const char *folder);
/* Leaves the server. Calls of other threads end first, as aborted. */
void wire_free(struct wire *);

enum wire_end wire_paint(struct wire *, const struct wire_frame *, char problem[WIRE_TEXT]);
/* The names of the library, sorted; returns how many were told, or -1 with `problem`. */
int wire_styles(struct wire *, void (*name)(void *context, const char *name), void *context, char problem[WIRE_TEXT]);

/* The runtime folder of the user's server: where runtime_folder() of server/runtime_dir.py finds it. */
void wire_folder(char folder[WIRE_PATH]);

#endif
