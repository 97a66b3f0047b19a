/* The effect "Impasto" of OpenFX: the frame at the playhead goes to the render server and comes back painted. No
   network and no picture library is loaded into the host. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "ofx_abi.h"
#include "server_start.h"
#include "wire.h"

#ifndef IMPASTO_VERSION_MAJOR
#define IMPASTO_VERSION_MAJOR 0
#define IMPASTO_VERSION_MINOR 1
#endif

static const char PLUGIN[] = "org.impasto.stylize", SOURCE[] = "Source", OUTPUT[] = "Output";
static const char DEFAULT_STYLE[] = "wheatfield";
static const double LEAST_STROKE = 0.25, MOST_STROKE = 4;

static OfxHost *host;
static const OfxPropertySuiteV1 *props;
static const OfxParameterSuiteV1 *params;
static const OfxImageEffectSuiteV1 *effects;
static const OfxMessageSuiteV2 *messages;
static int can_persist; /* whether the host has version 2 of the message suite */
static struct wire *wire;
static char bundle[WIRE_PATH];

/* Parameters */

enum control { STRENGTH, STROKE, COLOUR, DETAIL, EXPOSURE, CONTROLS };

static const struct {
    const char *name, *label, *hint;
    double least, most, standard;
} SLIDERS[CONTROLS] = {
    {"strength", "Strength", "How much of the style shows: 0 is the plate, 1 the painted result.", 0, 1, 1},
    {"stroke", "Stroke", "Size of the brush strokes: 2 paints twice as broad.", 0.25, 4, 1},
    {"colour", "Colour", "How much of the plate's own colour is kept.", 0, 1, 0},
    {"detail", "Detail", "How much of the plate's fine detail is put back.", 0, 1, 0},
    {"exposure", "Exposure", "Stops by which the style sees the plate brighter or darker; undone in the result.", -8, 8,
     0},
};

static const struct {
    const char *name, *label, *hint, *standard, *mode;
} TEXTS[] = {
    {"style", "Style name", "A style of the server's library, or a blend: NAME@A=0.7+B=0.3.", DEFAULT_STYLE,
     "OfxParamStringIsSingleLine"},
    {"styleFile", "Style file", "A .safetensors file; where one is named, it takes the place of the style.", "",
     "OfxParamStringIsFilePath"},
    {"inputSpace", "Input space",
     "Colour space of the picture as OpenColorIO names it; empty: scene-linear Rec.709 for float and half, sRGB for "
     "integers.",
     "", "OfxParamStringIsSingleLine"},
};

enum fallback { FAIL, PLATE, MAGENTA };

struct instance {
    OfxImageEffectHandle effect;
    OfxImageClipHandle source, output;
    OfxParamHandle slider[CONTROLS], style, style_file, input_space, no_server;
    char viewer[64];
    int says; /* a message stands at the effect */
};

static void tell(struct instance *instance, const char *text) {
    if (messages == NULL) return;
    instance->says = 1;
    if (can_persist)
        messages->setPersistentMessage(instance->effect, "OfxMessageError", "impasto", "%s", text);
    else
        messages->message(instance->effect, "OfxMessageError", "impasto", "%s", text);
}

static void tell_nothing(struct instance *instance) {
    if (instance->says && can_persist) messages->clearPersistentMessage(instance->effect);
    instance->says = 0;
}

/* Pictures */

struct picture {
    OfxPropertySetHandle image;
    unsigned char *data; /* the first sample of the lowest row */
    int row_bytes;       /* negative where a row lies before the one below it */
    OfxRectI bounds;
    int channels, known;
    enum wire_dtype dtype;
    int unassociated;
};

static const struct {
    const char *name;
    enum wire_dtype dtype;
} DEPTHS[] = {{"OfxBitDepthFloat", WIRE_FLOAT32},
              {"OfxBitDepthHalf", WIRE_FLOAT16},
              {"OfxBitDepthShort", WIRE_UINT16},
              {"OfxBitDepthByte", WIRE_UINT8}};

static const char *text_prop(OfxPropertySetHandle set, const char *name) {
    char *text = NULL;
    return props->propGetString(set, name, 0, &text) == kOfxStatOK && text != NULL ? text : "";
}

static int fetch_picture(OfxImageClipHandle clip, OfxTime time, struct picture *picture) {
    OfxPropertySetHandle clip_props = NULL;
    void *data = NULL;
    memset(picture, 0, sizeof *picture);
    if (effects->clipGetImage(clip, time, NULL, &picture->image) != kOfxStatOK) return -1;
    if (picture->image == NULL) return -1;
    props->propGetPointer(picture->image, "OfxImagePropData", 0, &data);
    props->propGetIntN(picture->image, "OfxImagePropBounds", 4, &picture->bounds.x1);
    props->propGetInt(picture->image, "OfxImagePropRowBytes", 0, &picture->row_bytes);
    picture->data = data;
    const char *depth = text_prop(picture->image, "OfxImageEffectPropPixelDepth");
    const char *components = text_prop(picture->image, "OfxImageEffectPropComponents");
    for (size_t i = 0; i < sizeof DEPTHS / sizeof *DEPTHS; i++)
        if (strcmp(depth, DEPTHS[i].name) == 0) picture->dtype = DEPTHS[i].dtype, picture->known = 1;
    picture->channels =
        strcmp(components, "OfxImageComponentRGBA") == 0 ? 4 : strcmp(components, "OfxImageComponentRGB") == 0 ? 3 : 0;
    const char *alpha = text_prop(picture->image, "OfxImageEffectPropPreMultiplication");
    if (alpha[0] == 0 && effects->clipGetPropertySet(clip, &clip_props) == kOfxStatOK)
        alpha = text_prop(clip_props, "OfxImageEffectPropPreMultiplication");
    picture->unassociated = strcmp(alpha, "OfxImageAlphaUnPremultiplied") == 0;
    return 0;
}

static size_t pixel_bytes(const struct picture *picture) {
    return (size_t)picture->channels * WIRE_SAMPLE_BYTES[picture->dtype];
}

static unsigned char *row_of(const struct picture *picture, int y) {
    return picture->data + (ptrdiff_t)(y - picture->bounds.y1) * picture->row_bytes;
}

static OfxRectI both(OfxRectI a, OfxRectI b) {
    OfxRectI rect = {a.x1 > b.x1 ? a.x1 : b.x1, a.y1 > b.y1 ? a.y1 : b.y1, a.x2 < b.x2 ? a.x2 : b.x2,
                     a.y2 < b.y2 ? a.y2 : b.y2};
    return rect;
}

/* Fills the window of the result from rows that lie as those of `from`; nothing outside of it. */
static void fill(const struct picture *to, OfxRectI window, const struct picture *from) {
    size_t pixel = pixel_bytes(to);
    window = both(window, to->bounds);
    for (int y = window.y1; y < window.y2; y++) {
        OfxRectI row = both((OfxRectI){window.x1, y, window.x2, y + 1}, from->bounds);
        unsigned char *at = row_of(to, y) + (ptrdiff_t)(window.x1 - to->bounds.x1) * (ptrdiff_t)pixel;
        size_t wide = window.x2 > window.x1 ? (size_t)(window.x2 - window.x1) : 0;
        if (row.x2 <= row.x1 || row.y2 <= row.y1) {
            memset(at, 0, wide * pixel);
            continue;
        }
        size_t before = (size_t)(row.x1 - window.x1), count = (size_t)(row.x2 - row.x1);
        memset(at, 0, before * pixel);
        memcpy(at + before * pixel, row_of(from, y) + (ptrdiff_t)(row.x1 - from->bounds.x1) * (ptrdiff_t)pixel,
               count * pixel);
        memset(at + (before + count) * pixel, 0, (wide - before - count) * pixel);
    }
}

static void fill_magenta(const struct picture *to, OfxRectI window) {
    static const unsigned char ones[] = {0xff, 0xff}, half_one[] = {0x00, 0x3c};
    static const float one = 1;
    const void *const full[] = {ones, ones, half_one, &one};
    size_t sample = WIRE_SAMPLE_BYTES[to->dtype];
    window = both(window, to->bounds);
    for (int y = window.y1; y < window.y2; y++)
        for (int x = window.x1; x < window.x2; x++) {
            unsigned char *at = row_of(to, y) + (ptrdiff_t)(x - to->bounds.x1) * (ptrdiff_t)pixel_bytes(to);
            for (int c = 0; c < to->channels; c++)
                if (c == 1)
                    memset(at + sample, 0, sample);
                else
                    memcpy(at + (size_t)c * sample, full[to->dtype], sample);
        }
}

/* Painting */

struct job {
    OfxImageEffectHandle effect;
    struct picture source, output;
    OfxRectI window;
};

static void write_plate(void *context, unsigned char *samples) {
    const struct job *job = context;
    const struct picture *source = &job->source;
    size_t row = (size_t)(source->bounds.x2 - source->bounds.x1) * pixel_bytes(source);
    for (int y = source->bounds.y1; y < source->bounds.y2; y++, samples += row) memcpy(samples, row_of(source, y), row);
}

static void read_result(void *context, const unsigned char *samples) {
    const struct job *job = context;
    struct picture painted = job->source;
    painted.data = (unsigned char *)samples;
    painted.row_bytes = (int)((size_t)(painted.bounds.x2 - painted.bounds.x1) * pixel_bytes(&painted));
    fill(&job->output, job->window, &painted);
}

static int is_aborted(void *context) {
    const struct job *job = context;
    return effects->abort(job->effect);
}

static const char *text_param(OfxParamHandle param, OfxTime time) {
    char *text = NULL;
    return param != NULL && params->paramGetValueAtTime(param, time, &text) == kOfxStatOK && text != NULL ? text : "";
}

static double within(double value, double least, double most) {
    return value > most ? most : value > least ? value : least;
}

static double slider(const struct instance *instance, enum control control, OfxTime time) {
    double value = SLIDERS[control].standard;
    params->paramGetValueAtTime(instance->slider[control], time, &value);
    return within(value, SLIDERS[control].least, SLIDERS[control].most);
}

/* Why these pictures cannot be painted, or null. */
static const char *refusal(const struct job *job, OfxPropertySetHandle in) {
    const struct picture *source = &job->source, *output = &job->output;
    const char *field = text_prop(in, "OfxImageEffectPropFieldToRender");
    if (strcmp(field, "OfxFieldLower") == 0 || strcmp(field, "OfxFieldUpper") == 0)
        return "expected whole frames, the clip has fields; deinterlace it in front of Impasto";
    if (!source->known || !source->channels)
        return "expected RGB or RGBA of float, half, short or byte; convert the clip in front of Impasto";
    if (source->dtype != output->dtype || source->channels != output->channels)
        return "expected one pixel format for source and output; convert the clip in front of Impasto";
    if (source->data == NULL || output->data == NULL || source->bounds.x2 <= source->bounds.x1 ||
        source->bounds.y2 <= source->bounds.y1)
        return "expected a picture, the clip is empty at this frame";
    return NULL;
}

static enum wire_end paint(struct instance *instance, struct job *job, OfxPropertySetHandle in, OfxTime time,
                           char problem[WIRE_TEXT]) {
    double scale[2] = {1, 1};
    int interactive = 0;
    char style[WIRE_PATH], space[WIRE_NAME];
    props->propGetDoubleN(in, "OfxImageEffectPropRenderScale", 2, scale);
    props->propGetInt(in, "OfxImageEffectPropInteractiveRenderStatus", 0, &interactive);
    const char *file = text_param(instance->style_file, time);
    snprintf(style, sizeof style, "%s", file[0] != 0 ? file : text_param(instance->style, time));
    snprintf(space, sizeof space, "%s", text_param(instance->input_space, time));
    const struct wire_frame frame = {
        .style = style,
        .colour_space = space,
        .viewer = interactive ? instance->viewer : "",
        .width = job->source.bounds.x2 - job->source.bounds.x1,
        .height = job->source.bounds.y2 - job->source.bounds.y1,
        .channels = job->source.channels,
        .dtype = job->source.dtype,
        .unassociated = job->source.unassociated,
        .number = (int)(time < 0 ? time - 0.5 : time + 0.5),
        .strength = slider(instance, STRENGTH, time),
        /* A proxy shows the strokes of the final frame, as much smaller as itself. */
        .stroke = within(slider(instance, STROKE, time) * scale[0], LEAST_STROKE, MOST_STROKE),
        .colour = slider(instance, COLOUR, time),
        .detail = slider(instance, DETAIL, time),
        .exposure = slider(instance, EXPOSURE, time),
        .context = job,
        .write = write_plate,
        .read = read_result,
        .aborted = is_aborted,
    };
    return wire_paint(wire, &frame, problem);
}

/* A frame that could not be painted, as the artist chose: the host's own failure, the plate, or magenta. */
static OfxStatus fall_back(const struct instance *instance, const struct job *job, OfxTime time) {
    int choice = FAIL;
    params->paramGetValueAtTime(instance->no_server, time, &choice);
    if (choice == PLATE) fill(&job->output, job->window, &job->source);
    if (choice == MAGENTA) fill_magenta(&job->output, job->window);
    return choice == PLATE || choice == MAGENTA ? kOfxStatOK : kOfxStatFailed;
}

static OfxStatus render(struct instance *instance, OfxPropertySetHandle in) {
    OfxTime time = 0;
    char problem[WIRE_TEXT] = "expected a picture from the host, got none; connect a clip to Impasto";
    struct job job = {.effect = instance->effect};
    OfxStatus status = kOfxStatFailed;
    props->propGetDouble(in, "OfxPropTime", 0, &time);
    props->propGetIntN(in, "OfxImageEffectPropRenderWindow", 4, &job.window.x1);
    if (fetch_picture(instance->output, time, &job.output) == 0 &&
        fetch_picture(instance->source, time, &job.source) == 0) {
        const char *why = refusal(&job, in);
        enum wire_end end = WIRE_FAILED;
        if (why != NULL)
            snprintf(problem, sizeof problem, "%s", why);
        else
            end = paint(instance, &job, in, time, problem);
        if (end == WIRE_PAINTED) {
            tell_nothing(instance);
            status = kOfxStatOK;
        } else if (end != WIRE_ABORTED) {
            tell(instance, problem);
            status = why != NULL ? kOfxStatFailed : fall_back(instance, &job, time);
        }
    } else if (!effects->abort(instance->effect)) {
        tell(instance, problem);
    }
    if (job.source.image != NULL) effects->clipReleaseImage(job.source.image);
    if (job.output.image != NULL) effects->clipReleaseImage(job.output.image);
    return status;
}

/* Describing */

static OfxStatus load(void) {
    char program[WIRE_NAME];
    props = host->fetchSuite(host->host, "OfxPropertySuite", 1);
    params = host->fetchSuite(host->host, "OfxParameterSuite", 1);
    effects = host->fetchSuite(host->host, "OfxImageEffectSuite", 1);
    messages = host->fetchSuite(host->host, "OfxMessageSuite", 2);
    can_persist = messages != NULL;
    if (messages == NULL) messages = host->fetchSuite(host->host, "OfxMessageSuite", 1);
    if (props == NULL || params == NULL || effects == NULL) return kOfxStatErrMissingHostFeature;
    snprintf(program, sizeof program, "ofx %.200s", text_prop(host->host, "OfxPropName"));
    wire = wire_new(program, NULL);
    return wire != NULL ? kOfxStatOK : kOfxStatErrMemory;
}

static OfxStatus describe(OfxImageEffectHandle effect) {
    static const char *const CONTEXTS[] = {"OfxImageEffectContextFilter", "OfxImageEffectContextGeneral"};
    OfxPropertySetHandle set;
    effects->getPropertySet(effect, &set);
    props->propSetString(set, "OfxPropLabel", 0, "Impasto");
    props->propSetString(set, "OfxImageEffectPluginPropGrouping", 0, "Stylize");
    props->propSetString(set, "OfxPropPluginDescription", 0,
                         "Paints the frame in a style, through the Impasto render server of this machine.");
    for (int i = 0; i < 2; i++) props->propSetString(set, "OfxImageEffectPropSupportedContexts", i, CONTEXTS[i]);
    for (int i = 0; i < (int)(sizeof DEPTHS / sizeof *DEPTHS); i++)
        props->propSetString(set, "OfxImageEffectPropSupportedPixelDepths", i, DEPTHS[i].name);
    props->propSetInt(set, "OfxImageEffectPluginPropSingleInstance", 0, 0);
    props->propSetInt(set, "OfxImageEffectPluginPropHostFrameThreading", 0, 0);
    props->propSetInt(set, "OfxImageEffectPropSupportsMultiResolution", 0, 1);
    props->propSetInt(set, "OfxImageEffectPropSupportsTiles", 0, 0);
    props->propSetInt(set, "OfxImageEffectPropTemporalClipAccess", 0, 0);
    props->propSetInt(set, "OfxImageEffectPropMultipleClipDepths", 0, 0);
    props->propSetInt(set, "OfxImageEffectPropSupportsMultipleClipPARs", 0, 0);
    props->propSetString(set, "OfxImageEffectPluginRenderThreadSafety", 0, "OfxImageEffectRenderInstanceSafe");
    snprintf(bundle, sizeof bundle, "%s", text_prop(set, "OfxPluginPropFilePath"));
    return kOfxStatOK;
}

/* The menu of styles while it is made: the server's library, or what was there when the plug-in was installed. */
struct menu {
    OfxPropertySetHandle set;
    int count, standard;
};

static void add_style(void *context, const char *name) {
    struct menu *menu = context;
    if (strcmp(name, DEFAULT_STYLE) == 0) menu->standard = menu->count;
    props->propSetString(menu->set, "OfxParamPropChoiceOption", menu->count++, name);
}

static void add_installed_styles(struct menu *menu) {
    char path[WIRE_PATH + 64], line[WIRE_NAME];
    snprintf(path, sizeof path, "%s/Contents/Resources/styles", bundle);
    FILE *file = fopen(path, "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "\r\n")] = 0;
        if (line[0] != 0) add_style(menu, line);
    }
    if (file != NULL) fclose(file);
}

static OfxPropertySetHandle define(OfxParamSetHandle set, const char *type, const char *name, const char *label,
                                   const char *hint) {
    OfxPropertySetHandle param = NULL;
    if (params->paramDefine(set, type, name, &param) != kOfxStatOK) return NULL;
    props->propSetString(param, "OfxPropLabel", 0, label);
    props->propSetString(param, "OfxParamPropHint", 0, hint);
    return param;
}

/* Hosts that are known to stop where an effect fails; all others show or store what happens to be in the picture. */
static enum fallback usual_fallback(void) {
    static const char *const STOP[] = {"uk.co.thefoundry.nuke", "DaVinciResolve", "com.blackmagicdesign.Fusion",
                                       "fr.inria.Natron"};
    const char *name = text_prop(host->host, "OfxPropName");
    for (size_t i = 0; i < sizeof STOP / sizeof *STOP; i++)
        if (strncmp(name, STOP[i], strlen(STOP[i])) == 0) return FAIL;
    return MAGENTA;
}

static void define_menus(OfxParamSetHandle set) {
    static const char *const FALLBACKS[] = {"Fail", "Plate", "Magenta"};
    char problem[WIRE_TEXT];
    struct menu menu = {
        define(set, "OfxParamTypeChoice", "library", "Style", "Puts a style of the library into Style name."), 0, 0};
    if (menu.set != NULL) {
        if (wire_styles(wire, add_style, &menu, problem) < 0) add_installed_styles(&menu);
        if (menu.count == 0) add_style(&menu, DEFAULT_STYLE);
        props->propSetInt(menu.set, "OfxParamPropDefault", 0, menu.standard);
        props->propSetInt(menu.set, "OfxParamPropAnimates", 0, 0);
        props->propSetInt(menu.set, "OfxParamPropEvaluateOnChange", 0, 0);
        props->propSetInt(menu.set, "OfxParamPropPersistant", 0, 0); /* its order is the library's of today */
    }
    OfxPropertySetHandle fallback = define(set, "OfxParamTypeChoice", "noServer", "If no server",
                                           "What becomes of a frame that could not be painted. A host that goes on "
                                           "after a failure would deliver it unpainted: magenta is seen.");
    if (fallback != NULL) {
        for (int i = 0; i < 3; i++) props->propSetString(fallback, "OfxParamPropChoiceOption", i, FALLBACKS[i]);
        props->propSetInt(fallback, "OfxParamPropDefault", 0, (int)usual_fallback());
        props->propSetInt(fallback, "OfxParamPropAnimates", 0, 0);
    }
}

static OfxStatus describe_in_context(OfxImageEffectHandle effect) {
    static const char *const COMPONENTS[] = {"OfxImageComponentRGBA", "OfxImageComponentRGB"};
    const char *const clips[] = {SOURCE, OUTPUT};
    OfxParamSetHandle set;
    OfxPropertySetHandle made;
    for (int i = 0; i < 2; i++)
        if (effects->clipDefine(effect, clips[i], &made) == kOfxStatOK)
            for (int c = 0; c < 2; c++)
                props->propSetString(made, "OfxImageEffectPropSupportedComponents", c, COMPONENTS[c]);
    effects->getParamSet(effect, &set);
    define_menus(set);
    for (size_t i = 0; i < sizeof TEXTS / sizeof *TEXTS; i++) {
        made = define(set, "OfxParamTypeString", TEXTS[i].name, TEXTS[i].label, TEXTS[i].hint);
        if (made == NULL) continue;
        props->propSetString(made, "OfxParamPropStringMode", 0, TEXTS[i].mode);
        props->propSetString(made, "OfxParamPropDefault", 0, TEXTS[i].standard);
        props->propSetInt(made, "OfxParamPropAnimates", 0, 0);
    }
    for (int i = 0; i < CONTROLS; i++) {
        made = define(set, "OfxParamTypeDouble", SLIDERS[i].name, SLIDERS[i].label, SLIDERS[i].hint);
        if (made == NULL) continue;
        props->propSetDouble(made, "OfxParamPropDefault", 0, SLIDERS[i].standard);
        props->propSetDouble(made, "OfxParamPropMin", 0, SLIDERS[i].least);
        props->propSetDouble(made, "OfxParamPropMax", 0, SLIDERS[i].most);
        props->propSetDouble(made, "OfxParamPropDisplayMin", 0, SLIDERS[i].least);
        props->propSetDouble(made, "OfxParamPropDisplayMax", 0, SLIDERS[i].most);
    }
    define(set, "OfxParamTypePushButton", "startServer", "Start server",
           "Starts the render server of this machine, where none runs.");
    return kOfxStatOK;
}

/* Instances */

static struct instance *instance_of(OfxImageEffectHandle effect) {
    OfxPropertySetHandle set;
    void *instance = NULL;
    if (effects->getPropertySet(effect, &set) == kOfxStatOK)
        props->propGetPointer(set, "OfxPropInstanceData", 0, &instance);
    return instance;
}

static OfxStatus create_instance(OfxImageEffectHandle effect) {
    static unsigned count;
    OfxPropertySetHandle set;
    OfxParamSetHandle own;
    struct instance *instance = calloc(1, sizeof *instance);
    if (instance == NULL) return kOfxStatErrMemory;
    instance->effect = effect;
    effects->clipGetHandle(effect, SOURCE, &instance->source, NULL);
    effects->clipGetHandle(effect, OUTPUT, &instance->output, NULL);
    effects->getParamSet(effect, &own);
    for (int i = 0; i < CONTROLS; i++) params->paramGetHandle(own, SLIDERS[i].name, &instance->slider[i], NULL);
    params->paramGetHandle(own, "style", &instance->style, NULL);
    params->paramGetHandle(own, "styleFile", &instance->style_file, NULL);
    params->paramGetHandle(own, "inputSpace", &instance->input_space, NULL);
    params->paramGetHandle(own, "noServer", &instance->no_server, NULL);
    snprintf(instance->viewer, sizeof instance->viewer, "ofx %u", __atomic_add_fetch(&count, 1, __ATOMIC_RELAXED));
    effects->getPropertySet(effect, &set);
    props->propSetPointer(set, "OfxPropInstanceData", 0, instance);
    return kOfxStatOK;
}

static OfxStatus destroy_instance(OfxImageEffectHandle effect) {
    OfxPropertySetHandle set;
    free(instance_of(effect));
    if (effects->getPropertySet(effect, &set) == kOfxStatOK)
        props->propSetPointer(set, "OfxPropInstanceData", 0, NULL);
    return kOfxStatOK;
}

static OfxStatus instance_changed(OfxImageEffectHandle effect, OfxPropertySetHandle in) {
    struct instance *instance = instance_of(effect);
    const char *name = text_prop(in, "OfxPropName");
    if (instance == NULL || strcmp(text_prop(in, "OfxPropChangeReason"), "OfxChangeUserEdited") != 0)
        return kOfxStatReplyDefault;
    if (strcmp(name, "startServer") == 0) {
        char problem[WIRE_TEXT];
        if (start_server(bundle, problem) != 0) tell(instance, problem);
        return kOfxStatOK;
    }
    if (strcmp(name, "library") != 0) return kOfxStatReplyDefault;
    OfxParamSetHandle own;
    OfxParamHandle library;
    OfxPropertySetHandle set;
    char *chosen = NULL;
    int choice = 0;
    effects->getParamSet(effect, &own);
    if (params->paramGetHandle(own, "library", &library, &set) != kOfxStatOK) return kOfxStatFailed;
    params->paramGetValue(library, &choice);
    if (props->propGetString(set, "OfxParamPropChoiceOption", choice, &chosen) != kOfxStatOK) return kOfxStatFailed;
    params->paramSetValue(instance->style, chosen);
    return kOfxStatOK;
}

static OfxStatus is_identity(struct instance *instance, OfxPropertySetHandle in, OfxPropertySetHandle out) {
    OfxTime time = 0;
    props->propGetDouble(in, "OfxPropTime", 0, &time);
    if (slider(instance, STRENGTH, time) > 0) return kOfxStatReplyDefault;
    props->propSetString(out, "OfxPropName", 0, SOURCE);
    props->propSetDouble(out, "OfxPropTime", 0, time);
    return kOfxStatOK;
}

/* A brush stroke may reach across the frame: a result needs the whole plate. */
static OfxStatus regions_of_interest(struct instance *instance, OfxPropertySetHandle in, OfxPropertySetHandle out) {
    OfxTime time = 0;
    OfxRectD whole;
    props->propGetDouble(in, "OfxPropTime", 0, &time);
    if (effects->clipGetRegionOfDefinition(instance->source, time, &whole) != kOfxStatOK) return kOfxStatReplyDefault;
    props->propSetDoubleN(out, "OfxImageClipPropRoI_Source", 4, &whole.x1);
    return kOfxStatOK;
}

static OfxStatus unload(void) {
    if (wire != NULL) wire_free(wire);
    wire = NULL;
    return kOfxStatOK;
}

static OfxStatus act(const char *action, const void *handle, OfxPropertySetHandle in, OfxPropertySetHandle out) {
    OfxImageEffectHandle effect = (OfxImageEffectHandle)handle;
    if (strcmp(action, "OfxActionLoad") == 0) return load();
    if (strcmp(action, "OfxActionUnload") == 0) return unload();
    if (wire == NULL) return kOfxStatFailed;
    if (strcmp(action, "OfxActionDescribe") == 0) return describe(effect);
    if (strcmp(action, "OfxImageEffectActionDescribeInContext") == 0) return describe_in_context(effect);
    if (strcmp(action, "OfxActionCreateInstance") == 0) return create_instance(effect);
    if (strcmp(action, "OfxActionDestroyInstance") == 0) return destroy_instance(effect);
    if (strcmp(action, "OfxActionInstanceChanged") == 0) return instance_changed(effect, in);
    struct instance *instance = effect != NULL ? instance_of(effect) : NULL;
    if (instance == NULL) return kOfxStatReplyDefault;
    if (strcmp(action, "OfxImageEffectActionRender") == 0) return render(instance, in);
    if (strcmp(action, "OfxImageEffectActionIsIdentity") == 0) return is_identity(instance, in, out);
    if (strcmp(action, "OfxImageEffectActionGetRegionsOfInterest") == 0) return regions_of_interest(instance, in, out);
    return kOfxStatReplyDefault;
}

static void set_host(OfxHost *given) { host = given; }

#define EXPORTED __attribute__((visibility("default")))

EXPORTED int OfxGetNumberOfPlugins(void);
EXPORTED OfxPlugin *OfxGetPlugin(int nth);

int OfxGetNumberOfPlugins(void) { return 1; }

OfxPlugin *OfxGetPlugin(int nth) {
    static OfxPlugin plugin = {"OfxImageEffectPluginAPI", 1,        PLUGIN, IMPASTO_VERSION_MAJOR,
                               IMPASTO_VERSION_MINOR,     set_host, act};
    return nth == 0 ? &plugin : NULL;
}
