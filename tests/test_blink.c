/*
 * test_blink.c — eyes that open and close: made-up ratios over time, with noise, glasses, drift,
 * naps, lost frames, at slow and fast cameras; the tutorials' rule; a real clip.
 */
#include "tests/test.h"
#include "vision/vision.h"

#include <unistd.h>

/* 68 points of which both eyes have this ratio. */
static void make_points(struct vi_point points[68], double left, double right)
{
    memset(points, 0, 68 * sizeof *points);
    for (int i = 0; i < 2; i++) {
        struct vi_point *eye = points + (i ? 42 : 36);
        float half = (float)((i ? left : right) * 10);
        eye[0] = (struct vi_point){100, 50};
        eye[1] = (struct vi_point){106, 50 - half};
        eye[2] = (struct vi_point){114, 50 - half};
        eye[3] = (struct vi_point){120, 50};
        eye[4] = (struct vi_point){114, 50 + half};
        eye[5] = (struct vi_point){106, 50 + half};
    }
}

static bool update(struct vi_blink *blink, const struct vi_blink_options *options, double ratio,
                   double seconds)
{
    struct vi_point points[68];
    make_points(points, ratio, ratio);
    return vi_blink_update(blink, options, points, 68, seconds);
}

/* ---- a person in front of a camera ------------------------------------------------------------
 */

struct scene {
    double open, shut;   /* ratios; shut 0: 0.35 of open */
    double noise;        /* deviation, as a share of open */
    double rate, length; /* frames per second, seconds */
    double every, lasts; /* seconds between blinks (0: none), and of one */
    double drift;        /* open changes by so much until the end */
    double lost;         /* share of frames that never come */
};

/* How closed: 70 ms down, 100 ms up. */
static double closure(double since, double lasts)
{
    if (since < 0 || since > lasts) return 0;
    if (since < 0.07) return since / 0.07;
    return lasts - since < 0.1 ? (lasts - since) / 0.1 : 1;
}

static int play(const struct scene *scene, uint64_t seed)
{
    static const struct vi_blink_options relative = {0};
    struct vi_blink blink = {0};
    struct nn_rng rng = nn_rng_make(seed, 1);
    int told = 0;
    for (int i = 0; i < scene->length * scene->rate; i++) {
        double seconds = i / scene->rate,
               open = scene->open + scene->drift * seconds / scene->length;
        double shut = scene->shut > 0 ? scene->shut : 0.35 * open, ratio = open;
        if (scene->every > 0 && seconds > 1)
            ratio += (shut - open) * closure(fmod(seconds, scene->every), scene->lasts);
        ratio += scene->noise * scene->open * (double)nn_rng_normal(&rng);
        if ((double)nn_rng_uniform(&rng, 0, 1) < scene->lost) continue;
        told += update(&blink, &relative, ratio, seconds);
    }
    return told == blink.count ? told : -1;
}

/* All of these have ten blinks; their moments fall differently into the frames. */
static void test_cameras(void)
{
    static const double rates[] = {10, 15, 24, 30, 60, 120}, opens[] = {0.12, 0.2, 0.3, 0.4};
    for (int i = 0; i < 6; i++) {
        int counts[4];
        for (int j = 0; j < 4; j++)
            counts[j] = play(&(struct scene){.open = opens[j],
                                             .noise = 0.04,
                                             .rate = rates[i],
                                             .length = 39,
                                             .every = 3.57,
                                             .lasts = 0.26},
                             (uint64_t)(10 * i + j));
        CHECK(counts[0] == 10 && counts[1] == 10 && counts[2] == 10 && counts[3] == 10,
              "%g frames/s: 10 blinks of narrow to wide eyes: %d %d %d %d", rates[i], counts[0],
              counts[1], counts[2], counts[3]);
    }
}

static const struct {
    const char *what;
    struct scene scene;
    int blinks;
} SCENES[] = {
    {"noise alone", {.open = 0.3, .noise = 0.08, .rate = 30, .length = 120}, 0},
    {"noise at 10/s", {.open = 0.3, .noise = 0.08, .rate = 10, .length = 300}, 0},
    {"much noise", {.open = 0.25, .noise = 0.12, .rate = 30, .length = 60}, 0},
    {"eyes that narrow slowly",
     {.open = 0.36, .noise = 0.03, .rate = 30, .length = 12, .drift = -0.24},
     0},
    {"the same, blinking",
     {.open = 0.36,
      .noise = 0.03,
      .rate = 30,
      .length = 29,
      .drift = -0.2,
      .every = 3,
      .lasts = 0.25},
     9},
    {"eyes that widen",
     {.open = 0.15,
      .noise = 0.03,
      .rate = 30,
      .length = 29,
      .drift = 0.2,
      .every = 3,
      .lasts = 0.25},
     9},
    {"naps", {.open = 0.3, .noise = 0.03, .rate = 30, .length = 59, .every = 10, .lasts = 2}, 0},
    {"a look down",
     {.open = 0.3, .noise = 0.03, .rate = 30, .length = 59, .every = 10, .lasts = 0.9},
     0},
    {"half a blink",
     {.open = 0.3,
      .shut = 0.24,
      .noise = 0.03,
      .rate = 30,
      .length = 30,
      .every = 3,
      .lasts = 0.25},
     0},
    {"quick blinks",
     {.open = 0.3, .noise = 0.03, .rate = 60, .length = 29, .every = 3, .lasts = 0.18},
     9},
    {"a third of the frames lost",
     {.open = 0.3, .noise = 0.03, .rate = 30, .length = 29, .every = 3, .lasts = 0.3, .lost = 0.33},
     9},
};

static void test_scenes(void)
{
    for (size_t i = 0; i < sizeof SCENES / sizeof *SCENES; i++) {
        int count = play(&SCENES[i].scene, i);
        CHECK(count == SCENES[i].blinks, "%s: %d blinks of %d", SCENES[i].what, count,
              SCENES[i].blinks);
    }
}

/* ---- by hand -----------------------------------------------------------------------------------
 */

static const struct vi_blink_options RELATIVE = {0};

/* So many frames of one ratio; returns the blinks among them. */
static int hold(struct vi_blink *blink, double ratio, int frames, double rate)
{
    int count = 0;
    for (int i = 0; i < frames; i++)
        count += update(blink, &RELATIVE, ratio, blink->last + 1 / rate);
    return count;
}

static void test_single_frames(void)
{
    static const double rates[] = {120, 60, 30, 15, 10};
    int counts[5];
    for (int i = 0; i < 5; i++) {
        struct vi_blink blink = {0};
        hold(&blink, 0.3, 60, rates[i]);
        hold(&blink, 0.1, 1, rates[i]);
        counts[i] = hold(&blink, 0.3, 10, rates[i]);
    }
    CHECK(!counts[0] && !counts[1] && !counts[2] && counts[3] == 1 && counts[4] == 1,
          "a single frame: jitter at 120, 60 and 30/s, a blink at 15 and 10/s");
}

static void test_states(void)
{
    struct vi_blink blink = {0};
    hold(&blink, 0.3, 2, 30);
    CHECK(blink.open == 0 && !blink.closed && fabs(blink.ear - 0.3) < 1e-6, "nothing known yet");
    hold(&blink, 0.3, 28, 30);
    CHECK(fabs(blink.open - 0.3) < 1e-6 && blink.frames == 0, "what open eyes are is learnt");
    hold(&blink, 0.12, 4, 30);
    CHECK(blink.closed && blink.frames == 4 && fabs(blink.since - 31 / 30.0) < 1e-6 &&
              fabs(blink.open - 0.3) < 1e-6,
          "closed, since when, and open eyes are not forgotten");
    hold(&blink, 0.22, 1, 30);
    CHECK(blink.closed && blink.count == 0, "half open is not open yet");
    CHECK(hold(&blink, 0.29, 1, 30) == 1 && blink.count == 1 && !blink.closed, "open: a blink");
    hold(&blink, 0.1, 4, 30);
    CHECK(hold(&blink, 0.3, 1, 1) + hold(&blink, 0.3, 30, 30) == 0 && blink.count == 1 &&
              blink.open > 0,
          "lost while closed: no blink, and learnt anew");
    CHECK(hold(&blink, 0.17, 1, 1) + hold(&blink, 0.17, 10, 30) == 0 &&
              fabs(blink.open - 0.17) < 1e-3,
          "someone with narrower eyes after a gap");
    CHECK(hold(&blink, 0.3, 30, 30) + hold(&blink, 0.17, 60, 30) == 0 && !blink.closed,
          "a head that turns away and back");
    hold(&blink, 0.06, 4, 30);
    CHECK(hold(&blink, 0.17, 4, 30) == 1, "and then a blink");
    double last = blink.last;
    hold(&blink, 0.06, 4, 30);
    blink.last = last + 1000;
    CHECK(!update(&blink, &RELATIVE, 0.17, last) && !blink.closed, "time that runs backwards");
}

static void test_points(void)
{
    struct vi_point points[68], turned[6];
    struct vi_blink blink = {0}, before;
    make_points(points, 0.2, 0.4);
    vi_blink_update(&blink, &RELATIVE, points, 68, 1);
    CHECK(fabs(blink.left - 0.2) < 1e-6 && fabs(blink.right - 0.4) < 1e-6 &&
              fabs(blink.ear - 0.3) < 1e-6,
          "left is 42 to 47, right 36 to 41");
    for (int i = 0; i < 6; i++) {
        const struct vi_point *from = &points[36 + i];
        turned[i] = (struct vi_point){3 * from->x - 4 * from->y + 7, 4 * from->x + 3 * from->y};
    }
    CHECK(fabs(vi_eye_aspect_ratio(turned) - 0.4) < 1e-6, "turned and five times as large");
    memset(turned, 0, sizeof turned);
    CHECK(vi_eye_aspect_ratio(turned) == 0, "an eye without width");
    before = blink;
    CHECK(!vi_blink_update(&blink, &RELATIVE, points, 5, 2) &&
              memcmp(&before, &blink, sizeof blink) == 0,
          "five points are left alone");
}

/* if ear < 0.3: counter += 1; else: if counter >= 3: total += 1; counter = 0 */
static void test_fixed_rule(void)
{
    static const struct {
        int frames;
        const char *eyes; /* digits: tenths of a ratio; a blink ends where * precedes */
    } cases[] = {
        {3, "33222*3322333222222222222222222222*322*"},
        {3, "2222*3"},
        {2, "3323322*3"},
        {0, "3323322*3"},
        {1, "332*3322*3"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct vi_blink_options options = {.ear = 0.29, .frames = cases[i].frames};
        struct vi_blink blink = {0};
        int wrong = 0, expected = 0, frame = 0;
        for (const char *at = cases[i].eyes; *at; at++) {
            bool ends = *at == '*' && at[1];
            if (*at == '*' && !*++at) break;
            expected += ends;
            wrong += update(&blink, &options, (*at - '0') / 10.0, frame++ * 5.0) != ends;
            wrong += blink.count != expected || blink.closed != (*at < '3');
        }
        CHECK(wrong == 0 && expected > 0, "the tutorials' rule, %d frames: %d blinks",
              cases[i].frames, blink.count);
    }
}

/* ---- a clip ---------------------------------------------------------------------------------- */

enum { EVERY = 8 }; /* frames between looks for the face */

/* Blinks, and when they ended. */
static int count_clip(struct nn_context *context, const char *clip, struct vi_detector *detector,
                      const struct vi_shape *shape, double seconds[16])
{
    struct vi_capture *capture;
    struct vi_frame frame;
    struct vi_blink blink = {0};
    const struct vi_face *faces;
    int box[4], count = 0;
    bool end = false, found = false;
    if (vi_capture_open(&capture, context, clip, NULL)) return -1;
    while (!vi_capture_read(capture, &frame, &end) && !end) {
        struct vi_point points[68];
        if (frame.index % EVERY == 0) {
            if (vi_detect(detector, &frame.image, VI_RGB, 0.5f, &faces, &count)) break;
            found = count > 0;
            if (found) vi_shape_box(box, &faces[0]);
        }
        if (!found) continue;
        vi_shape_find(shape, points, &frame.image, box);
        if (vi_blink_update(&blink, &RELATIVE, points, 68, frame.seconds) && blink.count <= 16)
            seconds[blink.count - 1] = frame.seconds;
    }
    vi_capture_close(&capture);
    return blink.count;
}

static void test_clip(void)
{
    static const char what[] = "three blinks of a clip",
                      model[] = "shape_predictor_68_face_landmarks";
    const char *shared = test_shared();
    char clip[300], detector_path[300], shape_path[300];
    struct nn_context *context;
    struct vi_detector *detector = NULL;
    struct vi_shape *shape = NULL;
    double seconds[16] = {0};
    snprintf(shape_path, sizeof shape_path, "/usr/share/dlib/%s.dat", model);
    if (getenv("LIVENESS_LANDMARKS"))
        snprintf(shape_path, sizeof shape_path, "%s", getenv("LIVENESS_LANDMARKS"));
    snprintf(clip, sizeof clip, "%s/data/videos/apfol__real__real2.webm", shared ? shared : "");
    if (!shared || access(clip, R_OK) || access(shape_path, R_OK) ||
        system("ffmpeg -version >/dev/null 2>&1")) {
        test_skip(what, "no clip, no landmarks (Debian: libdlib-data) or no ffmpeg");
        return;
    }
    if (test_emulated()) {
        test_skip(what, "too long for an emulator");
        return;
    }
    snprintf(detector_path, sizeof detector_path, "%s/data/detector", shared);
    if (nn_open(&context, NULL) || vi_detector_open(&detector, context, detector_path) ||
        vi_shape_open(&shape, context, shape_path))
        abort();
    int count = count_clip(context, clip, detector, shape, seconds);
    CHECK(count == 3 && fabs(seconds[0] - 2.5) < 0.2 && fabs(seconds[1] - 10.7) < 0.2 &&
              fabs(seconds[2] - 11.3) < 0.2,
          "%d blinks of 3 in a clip: %.2f %.2f %.2f s", count, seconds[0], seconds[1], seconds[2]);
    vi_shape_close(&shape);
    vi_detector_close(&detector);
    nn_close(&context);
}

int main(void)
{
    test_cameras();
    test_scenes();
    test_single_frames();
    test_states();
    test_points();
    test_fixed_rule();
    test_clip();
    return test_done();
}
