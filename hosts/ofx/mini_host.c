/* A small OpenFX host: loads the plug-in, renders frames with it, and says what happened. `impasto ofx check` and the
   tests run it; it refuses whatever the plug-in asks for that no host would have.

   mini_host PLUGIN [option]...           lines on standard output, one fact a line; exit 0 where all renders were OK */
#include <dlfcn.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ofx_abi.h"

static const char USAGE[] =
    "mini_host PLUGIN [--host NAME] [--size WxH] [--origin X,Y] [--depth float|half|short|byte] [--rgb]\n"
    "    [--rows-down] [--straight] [--window X1,Y1,X2,Y2] [--scale S] [--field upper] [--set PARAM=VALUE]...\n"
    "    [--press PARAM] [--choose PARAM=N] [--read SAMPLES] [--write SAMPLES] [--frames N] [--instances N] [--threads N]\n"
    "    [--abort-after MS] [--no-message-suite-2] [--unload-while-rendering] [--quiet]\n";

static _Noreturn void die(const char *format, ...) {
    va_list values;
    va_start(values, format);
    vfprintf(stderr, format, values);
    va_end(values);
    fputc('\n', stderr);
    exit(2);
}

/* Property sets */

enum type { POINTER, STRING, DOUBLE, INT };
enum { VALUES = 64, TEXT = 4096 };

struct property {
    struct property *next;
    char *name;
    enum type type;
    int count;
    union {
        void *pointer;
        char *string;
        double real;
        int whole;
    } value[VALUES];
};

struct OfxPropertySet {
    struct property *first;
};

static char *copy_of(const char *text) {
    char *copy = malloc(strlen(text) + 1);
    return copy != NULL ? strcpy(copy, text) : NULL;
}

static struct property *find(OfxPropertySetHandle set, const char *name) {
    for (struct property *property = set->first; property != NULL; property = property->next)
        if (strcmp(property->name, name) == 0) return property;
    return NULL;
}

static struct property *place(OfxPropertySetHandle set, const char *name, int index, enum type type) {
    if (set == NULL || index < 0 || index >= VALUES) return NULL;
    struct property *property = find(set, name);
    if (property == NULL) {
        property = calloc(1, sizeof *property);
        property->name = copy_of(name);
        property->type = type;
        property->next = set->first;
        set->first = property;
    }
    if (property->type != type) die("expected one type for the property %s, got two", name);
    if (index >= property->count) property->count = index + 1;
    return property;
}

static struct property *look_up(OfxPropertySetHandle set, const char *name, int index, enum type type) {
    struct property *property = set == NULL ? NULL : find(set, name);
    return property != NULL && property->type == type && index >= 0 && index < property->count ? property : NULL;
}

static void empty(OfxPropertySetHandle set) {
    while (set->first != NULL) {
        struct property *property = set->first;
        set->first = property->next;
        for (int i = 0; property->type == STRING && i < property->count; i++) free(property->value[i].string);
        free(property->name);
        free(property);
    }
}

#define ONE(suffix, ctype, kind, member)                                                                              \
    static OfxStatus set_##suffix(OfxPropertySetHandle set, const char *name, int i, ctype value) {                    \
        struct property *property = place(set, name, i, kind);                                                        \
        if (property == NULL) return kOfxStatErrBadIndex;                                                             \
        property->value[i].member = value;                                                                            \
        return kOfxStatOK;                                                                                            \
    }                                                                                                                 \
    static OfxStatus get_##suffix(OfxPropertySetHandle set, const char *name, int i, ctype *value) {                   \
        struct property *property = look_up(set, name, i, kind);                                                      \
        if (property == NULL) return kOfxStatErrUnknown;                                                              \
        *value = property->value[i].member;                                                                           \
        return kOfxStatOK;                                                                                            \
    }                                                                                                                 \
    static OfxStatus set_##suffix##_n(OfxPropertySetHandle set, const char *name, int count, const ctype *values) {    \
        OfxStatus status = kOfxStatOK;                                                                                \
        for (int i = 0; i < count && status == kOfxStatOK; i++) status = set_##suffix(set, name, i, values[i]);        \
        return status;                                                                                                \
    }                                                                                                                 \
    static OfxStatus get_##suffix##_n(OfxPropertySetHandle set, const char *name, int count, ctype *values) {          \
        OfxStatus status = kOfxStatOK;                                                                                \
        for (int i = 0; i < count && status == kOfxStatOK; i++) status = get_##suffix(set, name, i, values + i);       \
        return status;                                                                                                \
    }

typedef void *pointer;
ONE(pointer, pointer, POINTER, pointer)
ONE(double, double, DOUBLE, real)
ONE(int, int, INT, whole)

static OfxStatus set_string(OfxPropertySetHandle set, const char *name, int i, const char *value) {
    struct property *property = place(set, name, i, STRING);
    if (property == NULL || value == NULL) return kOfxStatErrBadIndex;
    free(property->value[i].string);
    property->value[i].string = copy_of(value);
    return kOfxStatOK;
}

static OfxStatus get_string(OfxPropertySetHandle set, const char *name, int i, char **value) {
    struct property *property = look_up(set, name, i, STRING);
    if (property == NULL) return kOfxStatErrUnknown;
    *value = property->value[i].string;
    return kOfxStatOK;
}

static OfxStatus get_dimension(OfxPropertySetHandle set, const char *name, int *count) {
    struct property *property = find(set, name);
    if (property != NULL) *count = property->count;
    return property != NULL ? kOfxStatOK : kOfxStatErrUnknown;
}

static const OfxPropertySuiteV1 PROPERTIES = {
    set_pointer,   set_string,   set_double,   set_int,   set_pointer_n, NULL, set_double_n, set_int_n, get_pointer,
    get_string,    get_double,   get_int,      get_pointer_n, NULL,      get_double_n, get_int_n, NULL, get_dimension,
};

/* Effects, clips, parameters */

enum { PARAMS = 32 };

struct OfxParam {
    char name[64], type[64];
    struct OfxPropertySet props;
    double real;
    int whole;
    char text[TEXT];
};

struct OfxParamSet {
    int count;
    struct OfxParam param[PARAMS];
};

struct OfxImageClip {
    char name[32];
    struct OfxPropertySet props;
    unsigned char *memory; /* the picture, its lowest row first, dense */
};

struct OfxImageEffect {
    struct OfxPropertySet props;
    struct OfxParamSet *params;
    struct OfxImageClip clip[2];
    int clips, images; /* images that the plug-in holds */
    double abort_at;
};

/* What the command line asked for. */
static struct {
    const char *host, *read, *write, *press, *set[PARAMS], *choose;
    int width, height, x, y, channels, rows_down, straight, sets, frames, instances, threads, first_message_suite,
        unload_while_rendering, quiet;
    OfxRectI window;
    const char *depth, *depth_name, *field;
    size_t sample;
    double scale, abort_after;
} asked = {.host = "org.impasto.mini_host", .width = 64, .height = 48, .channels = 4, .frames = 1, .instances = 1,
           .threads = 1, .depth = "OfxBitDepthFloat", .depth_name = "float", .sample = 4, .scale = 1,
           .field = "OfxFieldNone"};

static pthread_mutex_t talk = PTHREAD_MUTEX_INITIALIZER;
static int failures;

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static size_t row_size(void) { return (size_t)asked.width * (size_t)asked.channels * asked.sample; }

static OfxStatus get_effect_props(OfxImageEffectHandle effect, OfxPropertySetHandle *set) {
    *set = &effect->props;
    return kOfxStatOK;
}

static OfxStatus get_param_set(OfxImageEffectHandle effect, OfxParamSetHandle *set) {
    *set = effect->params;
    return kOfxStatOK;
}

static OfxStatus clip_define(OfxImageEffectHandle effect, const char *name, OfxPropertySetHandle *set) {
    if (effect->clips >= 2) return kOfxStatFailed;
    struct OfxImageClip *clip = &effect->clip[effect->clips++];
    snprintf(clip->name, sizeof clip->name, "%s", name);
    *set = &clip->props;
    return kOfxStatOK;
}

static OfxStatus clip_handle(OfxImageEffectHandle effect, const char *name, OfxImageClipHandle *clip,
                             OfxPropertySetHandle *set) {
    for (int i = 0; i < effect->clips; i++)
        if (strcmp(effect->clip[i].name, name) == 0) {
            *clip = &effect->clip[i];
            if (set != NULL) *set = &effect->clip[i].props;
            return kOfxStatOK;
        }
    return kOfxStatErrBadHandle;
}

static OfxStatus clip_props(OfxImageClipHandle clip, OfxPropertySetHandle *set) {
    *set = &clip->props;
    return kOfxStatOK;
}

static OfxStatus clip_image(OfxImageClipHandle clip, OfxTime time, const OfxRectD *region, OfxPropertySetHandle *image) {
    (void)time, (void)region;
    if (clip->memory == NULL) return kOfxStatFailed;
    *image = calloc(1, sizeof **image);
    int row = (int)row_size();
    const int bounds[] = {asked.x, asked.y, asked.x + asked.width, asked.y + asked.height};
    set_pointer(*image, "OfxImagePropData", 0, clip->memory + (asked.rows_down ? (size_t)row * (size_t)(asked.height - 1) : 0));
    set_int(*image, "OfxImagePropRowBytes", 0, asked.rows_down ? -row : row);
    set_int_n(*image, "OfxImagePropBounds", 4, bounds);
    set_string(*image, "OfxImageEffectPropPixelDepth", 0, asked.depth);
    set_string(*image, "OfxImageEffectPropComponents", 0, asked.channels == 4 ? "OfxImageComponentRGBA" : "OfxImageComponentRGB");
    set_string(*image, "OfxImageEffectPropPreMultiplication", 0, asked.straight ? "OfxImageAlphaUnPremultiplied" : "OfxImageAlphaPremultiplied");
    return kOfxStatOK;
}

static OfxStatus release_image(OfxPropertySetHandle image) {
    empty(image);
    free(image);
    return kOfxStatOK;
}

static OfxStatus region_of_definition(OfxImageClipHandle clip, OfxTime time, OfxRectD *rect) {
    (void)clip, (void)time;
    *rect = (OfxRectD){asked.x, asked.y, asked.x + asked.width, asked.y + asked.height};
    return kOfxStatOK;
}

static int is_aborted(OfxImageEffectHandle effect) { return effect->abort_at > 0 && now() >= effect->abort_at; }

static const OfxImageEffectSuiteV1 EFFECTS = {
    get_effect_props, get_param_set, clip_define,   clip_handle,          clip_props,
    clip_image,       release_image, region_of_definition, is_aborted,
};

static OfxStatus param_define(OfxParamSetHandle set, const char *type, const char *name, OfxPropertySetHandle *props) {
    if (set->count >= PARAMS) return kOfxStatFailed;
    struct OfxParam *param = &set->param[set->count++];
    snprintf(param->name, sizeof param->name, "%s", name);
    snprintf(param->type, sizeof param->type, "%s", type);
    *props = &param->props;
    return kOfxStatOK;
}

static OfxStatus param_handle(OfxParamSetHandle set, const char *name, OfxParamHandle *param, OfxPropertySetHandle *props) {
    for (int i = 0; i < set->count; i++)
        if (strcmp(set->param[i].name, name) == 0) {
            *param = &set->param[i];
            if (props != NULL) *props = &set->param[i].props;
            return kOfxStatOK;
        }
    return kOfxStatErrUnknown;
}

static OfxStatus give_value(OfxParamHandle param, va_list values) {
    if (strcmp(param->type, "OfxParamTypeDouble") == 0)
        *va_arg(values, double *) = param->real;
    else if (strcmp(param->type, "OfxParamTypeChoice") == 0)
        *va_arg(values, int *) = param->whole;
    else if (strcmp(param->type, "OfxParamTypeString") == 0)
        *va_arg(values, char **) = param->text;
    else
        return kOfxStatErrBadHandle;
    return kOfxStatOK;
}

static OfxStatus param_value(OfxParamHandle param, ...) {
    va_list values;
    va_start(values, param);
    OfxStatus status = give_value(param, values);
    va_end(values);
    return status;
}

static OfxStatus param_value_at(OfxParamHandle param, OfxTime time, ...) {
    va_list values;
    va_start(values, time);
    OfxStatus status = give_value(param, values);
    va_end(values);
    return status;
}

static __thread int rendering;

static OfxStatus param_set(OfxParamHandle param, ...) {
    if (rendering) die("expected no parameter to be set while rendering, '%s' was", param->name);
    va_list values;
    va_start(values, param);
    snprintf(param->text, sizeof param->text, "%s", va_arg(values, const char *));
    va_end(values);
    return kOfxStatOK;
}

static const OfxParameterSuiteV1 PARAMETERS = {
    .paramDefine = param_define,
    .paramGetHandle = param_handle,
    .paramGetValue = param_value,
    .paramGetValueAtTime = param_value_at,
    .paramSetValue = param_set,
};

static OfxStatus message(void *effect, const char *type, const char *id, const char *format, ...) {
    (void)effect, (void)id;
    va_list values;
    va_start(values, format);
    pthread_mutex_lock(&talk);
    printf("message %s: ", type);
    vprintf(format, values);
    printf("\n");
    pthread_mutex_unlock(&talk);
    va_end(values);
    return kOfxStatOK;
}

static OfxStatus no_message(void *effect) {
    (void)effect;
    pthread_mutex_lock(&talk);
    printf("message cleared\n");
    pthread_mutex_unlock(&talk);
    return kOfxStatOK;
}

static const OfxMessageSuiteV2 MESSAGES = {message, message, no_message};

static const void *fetch_suite(OfxPropertySetHandle host, const char *name, int version) {
    (void)host;
    if (strcmp(name, "OfxPropertySuite") == 0 && version == 1) return &PROPERTIES;
    if (strcmp(name, "OfxImageEffectSuite") == 0 && version == 1) return &EFFECTS;
    if (strcmp(name, "OfxParameterSuite") == 0 && version == 1) return &PARAMETERS;
    if (strcmp(name, "OfxMessageSuite") == 0 && (version == 1 || !asked.first_message_suite)) return &MESSAGES;
    return NULL;
}

/* The command line */

static void read_depth(const char *name) {
    static const struct {
        const char *name, *depth;
        size_t sample;
    } DEPTHS[] = {{"float", "OfxBitDepthFloat", 4}, {"half", "OfxBitDepthHalf", 2}, {"short", "OfxBitDepthShort", 2},
                  {"byte", "OfxBitDepthByte", 1}};
    for (size_t i = 0; i < 4; i++)
        if (strcmp(name, DEPTHS[i].name) == 0) {
            asked.depth_name = name, asked.depth = DEPTHS[i].depth, asked.sample = DEPTHS[i].sample;
            return;
        }
    die("expected a depth of float, half, short or byte, got %s", name);
}

static void read_options(char **at) {
    int good = 1, has_window = 0;
    for (; *at != NULL; at++) {
        const char *option = *at, *value = at[1] != NULL ? at[1] : "";
        if (strcmp(option, "--rgb") == 0) asked.channels = 3;
        else if (strcmp(option, "--rows-down") == 0) asked.rows_down = 1;
        else if (strcmp(option, "--straight") == 0) asked.straight = 1;
        else if (strcmp(option, "--quiet") == 0) asked.quiet = 1;
        else if (strcmp(option, "--no-message-suite-2") == 0) asked.first_message_suite = 1;
        else if (strcmp(option, "--unload-while-rendering") == 0) asked.unload_while_rendering = 1;
        else if (at[1] == NULL) die("expected a value behind %s\n%s", option, USAGE);
        else {
            at++;
            if (strcmp(option, "--host") == 0) asked.host = value;
            else if (strcmp(option, "--size") == 0) good = sscanf(value, "%dx%d", &asked.width, &asked.height) == 2;
            else if (strcmp(option, "--origin") == 0) good = sscanf(value, "%d,%d", &asked.x, &asked.y) == 2;
            else if (strcmp(option, "--window") == 0)
                good = has_window = sscanf(value, "%d,%d,%d,%d", &asked.window.x1, &asked.window.y1, &asked.window.x2, &asked.window.y2) == 4;
            else if (strcmp(option, "--depth") == 0) read_depth(value);
            else if (strcmp(option, "--scale") == 0) asked.scale = atof(value);
            else if (strcmp(option, "--field") == 0) asked.field = strcmp(value, "upper") == 0 ? "OfxFieldUpper" : "OfxFieldLower";
            else if (strcmp(option, "--set") == 0 && asked.sets < PARAMS) asked.set[asked.sets++] = value;
            else if (strcmp(option, "--press") == 0) asked.press = value;
            else if (strcmp(option, "--choose") == 0) asked.choose = value;
            else if (strcmp(option, "--read") == 0) asked.read = value;
            else if (strcmp(option, "--write") == 0) asked.write = value;
            else if (strcmp(option, "--frames") == 0) asked.frames = atoi(value);
            else if (strcmp(option, "--instances") == 0) asked.instances = atoi(value);
            else if (strcmp(option, "--threads") == 0) asked.threads = atoi(value);
            else if (strcmp(option, "--abort-after") == 0) asked.abort_after = atof(value);
            else die("expected an option of this list, got %s\n%s", option, USAGE);
        }
        if (!good) die("expected a value as in this list, got %s %s\n%s", option, value, USAGE);
    }
    if (!has_window) asked.window = (OfxRectI){asked.x, asked.y, asked.x + asked.width, asked.y + asked.height};
    if (asked.width < 1 || asked.height < 1 || asked.instances < 1 || asked.threads < 1) die("%s", USAGE);
}

/* Life of an effect */

static OfxPlugin *plugin;

static void set_defaults(struct OfxParamSet *set) {
    for (int i = 0; i < set->count; i++) {
        struct OfxParam *param = &set->param[i];
        char *text = "";
        get_double(&param->props, "OfxParamPropDefault", 0, &param->real);
        get_int(&param->props, "OfxParamPropDefault", 0, &param->whole);
        if (strcmp(param->type, "OfxParamTypeString") == 0) get_string(&param->props, "OfxParamPropDefault", 0, &text);
        snprintf(param->text, sizeof param->text, "%s", text);
    }
    for (int i = 0; i < asked.sets; i++) {
        const char *is = strchr(asked.set[i], '=');
        struct OfxParam *found = NULL;
        for (int p = 0; is != NULL && p < set->count; p++)
            if (strlen(set->param[p].name) == (size_t)(is - asked.set[i]) && strncmp(set->param[p].name, asked.set[i], (size_t)(is - asked.set[i])) == 0)
                found = &set->param[p];
        if (found == NULL) die("expected PARAM=VALUE of a parameter of the plug-in, got %s", asked.set[i]);
        found->real = atof(is + 1);
        found->whole = atoi(is + 1);
        snprintf(found->text, sizeof found->text, "%s", is + 1);
    }
}

static void describe(struct OfxImageEffect *effect, const char *bundle) {
    struct OfxPropertySet in = {NULL};
    effect->params = calloc(1, sizeof *effect->params);
    set_string(&effect->props, "OfxPluginPropFilePath", 0, bundle);
    if (plugin->mainEntry("OfxActionDescribe", effect, NULL, NULL) != kOfxStatOK) die("describe failed");
    set_string(&in, "OfxImageEffectPropContext", 0, "OfxImageEffectContextFilter");
    if (plugin->mainEntry("OfxImageEffectActionDescribeInContext", effect, &in, NULL) != kOfxStatOK) die("describe in context failed");
    empty(&in);
    set_defaults(effect->params);
}

static void list_params(const struct OfxImageEffect *effect) {
    for (int i = 0; i < effect->params->count; i++) {
        struct OfxParam *param = &effect->params->param[i];
        int options = 0;
        char *option;
        get_dimension(&param->props, "OfxParamPropChoiceOption", &options);
        printf("param %s %s %g %s", param->name, param->type, strcmp(param->type, "OfxParamTypeChoice") == 0 ? param->whole : param->real, param->text);
        for (int o = 0; o < options; o++)
            if (get_string(&param->props, "OfxParamPropChoiceOption", o, &option) == kOfxStatOK) printf(" [%s]", option);
        printf("\n");
    }
}

static void change_by_user(struct OfxImageEffect *effect, const char *name) {
    struct OfxPropertySet in = {NULL};
    set_string(&in, "OfxPropName", 0, name);
    set_string(&in, "OfxPropChangeReason", 0, "OfxChangeUserEdited");
    printf("changed %s status %d\n", name, plugin->mainEntry("OfxActionInstanceChanged", effect, &in, NULL));
    empty(&in);
}

static void choose(struct OfxImageEffect *effect, const char *what) {
    char name[64];
    int choice;
    OfxParamHandle param;
    if (sscanf(what, "%63[^=]=%d", name, &choice) != 2 || param_handle(effect->params, name, &param, NULL) != kOfxStatOK)
        die("expected PARAM=N, got %s", what);
    param->whole = choice;
    change_by_user(effect, name);
}

static struct OfxImageEffect *new_effect(const char *bundle, const unsigned char *plate) {
    struct OfxImageEffect *effect = calloc(1, sizeof *effect);
    size_t bytes = row_size() * (size_t)asked.height;
    describe(effect, bundle);
    for (int i = 0; i < effect->clips; i++) effect->clip[i].memory = calloc(1, bytes);
    memcpy(effect->clip[0].memory, plate, bytes);
    if (plugin->mainEntry("OfxActionCreateInstance", effect, NULL, NULL) != kOfxStatOK) die("create instance failed");
    return effect;
}

static void free_effect(struct OfxImageEffect *effect) {
    plugin->mainEntry("OfxActionDestroyInstance", effect, NULL, NULL);
    for (int i = 0; i < effect->clips; i++) empty(&effect->clip[i].props), free(effect->clip[i].memory);
    for (int i = 0; i < effect->params->count; i++) empty(&effect->params->param[i].props);
    empty(&effect->props);
    free(effect->params);
    free(effect);
}

static void render(struct OfxImageEffect *effect, int frame) {
    struct OfxPropertySet in = {NULL}, out = {NULL};
    const double scale[] = {asked.scale, asked.scale};
    set_double(&in, "OfxPropTime", 0, frame);
    set_string(&in, "OfxImageEffectPropFieldToRender", 0, asked.field);
    set_int_n(&in, "OfxImageEffectPropRenderWindow", 4, &asked.window.x1);
    set_double_n(&in, "OfxImageEffectPropRenderScale", 2, scale);
    set_int(&in, "OfxImageEffectPropInteractiveRenderStatus", 0, 1);
    effect->abort_at = asked.abort_after > 0 ? now() + 1e-3 * asked.abort_after : 0;
    double begun = now();
    rendering = 1;
    OfxStatus same = plugin->mainEntry("OfxImageEffectActionIsIdentity", effect, &in, &out);
    OfxStatus status = same == kOfxStatOK ? kOfxStatOK : plugin->mainEntry("OfxImageEffectActionRender", effect, &in, &out);
    rendering = 0;
    if (same == kOfxStatOK) memcpy(effect->clip[1].memory, effect->clip[0].memory, row_size() * (size_t)asked.height);
    double ms = 1e3 * (now() - begun);
    pthread_mutex_lock(&talk);
    failures += status != kOfxStatOK;
    if (!asked.quiet || status != kOfxStatOK) printf("frame %d status %d%s %.3f ms\n", frame, status, same == kOfxStatOK ? " identity" : "", ms);
    pthread_mutex_unlock(&talk);
    empty(&in);
    empty(&out);
}

struct share {
    struct OfxImageEffect **effect;
    int thread;
};

/* A thread has instances of its own: the plug-in is safe by instance. */
static void *render_share(void *context) {
    const struct share *share = context;
    for (int frame = 0; frame < asked.frames; frame++)
        for (int i = share->thread; i < asked.instances; i += asked.threads) render(share->effect[i], frame);
    return NULL;
}

static void render_all(struct OfxImageEffect **effect) {
    pthread_t thread[64];
    struct share share[64];
    int threads = asked.threads > 64 ? 64 : asked.threads;
    for (int i = 0; i < threads; i++) {
        share[i] = (struct share){effect, i};
        pthread_create(&thread[i], NULL, render_share, &share[i]);
    }
    if (asked.unload_while_rendering) {
        usleep(100000);
        printf("unload status %d\n", plugin->mainEntry("OfxActionUnload", NULL, NULL, NULL));
    }
    for (int i = 0; i < threads; i++) pthread_join(thread[i], NULL);
}

static unsigned char *read_plate(void) {
    size_t bytes = row_size() * (size_t)asked.height;
    unsigned char *plate = calloc(1, bytes);
    if (asked.read != NULL) {
        FILE *file = fopen(asked.read, "rb");
        if (file == NULL || fread(plate, 1, bytes, file) != bytes) die("expected %zu bytes in %s", bytes, asked.read);
        fclose(file);
    }
    return plate;
}

static OfxPlugin *load(const char *path, void **library) {
    *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (*library == NULL) die("cannot load the plug-in: %s", dlerror());
    int (*count)(void);
    OfxPlugin *(*get)(int);
    *(void **)&count = dlsym(*library, "OfxGetNumberOfPlugins");
    *(void **)&get = dlsym(*library, "OfxGetPlugin");
    if (count == NULL || get == NULL || count() < 1) die("expected OfxGetNumberOfPlugins and OfxGetPlugin in %s", path);
    return get(0);
}

int main(int argc, char **argv) {
    static struct OfxPropertySet host_props;
    static OfxHost host = {&host_props, fetch_suite};
    char bundle[TEXT], *contents;
    void *library;
    if (argc < 2) die("%s", USAGE);
    read_options(argv + 2);
    setvbuf(stdout, NULL, _IOLBF, 0);
    set_string(&host_props, "OfxPropName", 0, asked.host);
    snprintf(bundle, sizeof bundle, "%s", argv[1]);
    if ((contents = strstr(bundle, "/Contents/")) != NULL) *contents = 0;
    plugin = load(argv[1], &library);
    printf("plugin %s %u.%u\n", plugin->pluginIdentifier, plugin->pluginVersionMajor, plugin->pluginVersionMinor);
    plugin->setHost(&host);
    if (plugin->mainEntry("OfxActionLoad", NULL, NULL, NULL) != kOfxStatOK) die("load failed");
    unsigned char *plate = read_plate();
    struct OfxImageEffect **effect = calloc((size_t)asked.instances, sizeof *effect);
    for (int i = 0; i < asked.instances; i++) effect[i] = new_effect(bundle, plate);
    if (asked.choose != NULL) choose(effect[0], asked.choose);
    if (!asked.quiet) list_params(effect[0]);
    if (asked.press != NULL) change_by_user(effect[0], asked.press);
    render_all(effect);
    if (asked.write != NULL) {
        FILE *file = fopen(asked.write, "wb");
        size_t bytes = row_size() * (size_t)asked.height;
        if (file == NULL || fwrite(effect[0]->clip[1].memory, 1, bytes, file) != bytes || fclose(file) != 0) die("cannot write %s", asked.write);
    }
    for (int i = 0; i < asked.instances; i++) free_effect(effect[i]);
    free(effect);
    free(plate);
    if (!asked.unload_while_rendering) plugin->mainEntry("OfxActionUnload", NULL, NULL, NULL);
    empty(&host_props);
    dlclose(library);
    printf("failures %d\n", failures);
    return failures != 0;
}
