/* test_verdict.c — what is said of a face: each policy's table of truth, smoothing over time at any
 * frame rate, no flicker, poor pictures, gaps; and that no denial ever makes anything live. */
#include "tests/test.h"
#include "vision/vision.h"

static const struct vi_texture good = {.size = 120,
                                       .brightness = 0.45,
                                       .contrast = 0.2,
                                       .clipped = 0.02,
                                       .saturation = 0.3,
                                       .sharpness = 900,
                                       .high = 0.02,
                                       .moire = 2};
static const double rates[] = {5, 15, 30, 60};
enum { RATES = sizeof rates / sizeof *rates };

static struct vi_evidence evidence(double real, int blinks, double seconds)
{
    return (struct vi_evidence){real, good, true, blinks, seconds};
}

/* The same frame for `seconds`, from the verdict's last one on; how often the answer changed. */
static int show(struct vi_verdict *verdict, const struct vi_verdict_options *options,
                struct vi_evidence frame, double seconds, double rate)
{
    int changes = 0, count = (int)(seconds * rate + 0.5);
    for (int i = 0; i < count; i++) {
        enum vi_answer before = verdict->answer;
        frame.seconds = verdict->frames ? verdict->last + 1 / rate : frame.seconds;
        vi_verdict_update(verdict, options, &frame);
        changes += i > 0 && verdict->answer != before;
    }
    return changes;
}

static bool is(const struct vi_verdict *verdict, enum vi_answer answer, const char *reason)
{
    bool ok = verdict->answer == answer && !strcmp(verdict->reason, reason);
    if (!ok)
        printf("# %s (%s), score %.3f, moire %.2f; expected %s (%s)\n",
               vi_answer_name(verdict->answer), verdict->reason, verdict->score, verdict->moire,
               vi_answer_name(answer), reason);
    return ok;
}

/* ---- tables of truth ------------------------------------------------------------------------- */

static const char picture[] = "looks like a picture", grid[] = "moire pattern",
                  waiting[] = "waiting for a blink", looking[] = "looking";

/* What is said in the end of a face that stays as it is. */
static const struct {
    enum vi_policy policy;
    double real;
    int blinks, wanted; /* that it has blinked; options.blinks */
    bool no_eyes;
    double moire, threshold;
    enum vi_answer answer;
    const char *reason;
} truths[] = {
    {VI_POLICY_CNN, 0.9, 0, 0, false, 2, 0, VI_LIVE, ""},
    {VI_POLICY_CNN, 0.51, 0, 0, false, 9, 0, VI_LIVE, ""},
    {VI_POLICY_CNN, 0.49, 5, 0, false, 2, 0, VI_SPOOF, picture},
    {VI_POLICY_CNN, 0.8, 5, 0, false, 2, 0.9, VI_SPOOF, picture},
    {VI_POLICY_CNN, NAN, 5, 0, false, 2, 0, VI_SPOOF, picture},
    {VI_POLICY_CNN_BLINK, 0.9, 0, 0, false, 2, 0, VI_UNDECIDED, waiting},
    {VI_POLICY_CNN_BLINK, 0.9, 1, 0, false, 2, 0, VI_LIVE, ""},
    {VI_POLICY_CNN_BLINK, 0.9, 9, 10, false, 2, 0, VI_UNDECIDED, waiting},
    {VI_POLICY_CNN_BLINK, 0.9, 10, 10, false, 2, 0, VI_LIVE, ""},
    {VI_POLICY_CNN_BLINK, 0.9, 0, 0, true, 2, 0, VI_LIVE, ""},
    {VI_POLICY_CNN_BLINK, 0.1, 0, 0, false, 2, 0, VI_SPOOF, picture},
    {VI_POLICY_CNN_BLINK, 0.1, 99, 0, false, 2, 0, VI_SPOOF, picture},
    {VI_POLICY_FUSED, 0.9, 0, 0, false, 2, 0, VI_UNDECIDED, waiting},
    {VI_POLICY_FUSED, 0.9, 1, 0, false, 2, 0, VI_LIVE, ""},
    {VI_POLICY_FUSED, 0.9, 1, 2, false, 2, 0, VI_UNDECIDED, waiting},
    {VI_POLICY_FUSED, 0.9, 0, 0, true, 2, 0, VI_LIVE, ""},
    {VI_POLICY_FUSED, 0.9, 1, 0, false, 0, 0, VI_LIVE, ""},
    {VI_POLICY_FUSED, 0.9, 1, 0, false, 4, 0, VI_SPOOF, grid},
    {VI_POLICY_FUSED, 0.9, 0, 0, false, 4, 0, VI_SPOOF, grid},
    {VI_POLICY_FUSED, 0.1, 1, 0, false, 4, 0, VI_SPOOF, picture},
    {VI_POLICY_FUSED, 0.1, 99, 0, false, 2, 0, VI_SPOOF, picture},
    {VI_POLICY_FUSED, 0.55, 1, 0, false, 2, 0, VI_UNDECIDED, looking},
    {VI_POLICY_FUSED, 0.61, 1, 0, false, 2, 0, VI_LIVE, ""},
    {VI_POLICY_FUSED, 0.61, 1, 0, false, 2, 0.8, VI_SPOOF, picture},
    {VI_POLICY_FUSED, 0.9, 1, 0, false, 2, 0.8, VI_LIVE, ""},
    {VI_POLICY_FUSED, NAN, 1, 0, false, 2, 0, VI_SPOOF, picture},
    {VI_POLICY_FUSED, INFINITY, 1, 0, false, NAN, 0, VI_LIVE, ""},
    {VI_POLICY_FUSED, -7, 1, 0, false, 2, 0, VI_SPOOF, picture},
};

static void test_truths(void)
{
    for (size_t i = 0; i < sizeof truths / sizeof *truths; i++) {
        const struct vi_verdict_options options = {truths[i].policy, truths[i].wanted,
                                                   truths[i].threshold, truths[i].no_eyes};
        struct vi_evidence frame = evidence(truths[i].real, truths[i].blinks, 100);
        bool right = true;
        frame.texture.moire = truths[i].moire;
        for (int k = 0; k < RATES; k++) {
            struct vi_verdict verdict = {.frames = 0};
            show(&verdict, &options, frame, 2, rates[k]);
            right = right && is(&verdict, truths[i].answer, truths[i].reason);
        }
        CHECK(right, "%s: real %g, %d of %d blinks%s, moire %g, threshold %g: %s",
              vi_policy_name(truths[i].policy), truths[i].real, truths[i].blinks, truths[i].wanted,
              truths[i].no_eyes ? " (no eyes)" : "", truths[i].moire, truths[i].threshold,
              vi_answer_name(truths[i].answer));
    }
}

static void test_names(void)
{
    char list[100];
    snprintf(list, sizeof list, "%s|%s|%s", vi_policy_name(0), vi_policy_name(1),
             vi_policy_name(2));
    CHECK(!strcmp(list, VI_POLICY_NAMES) && !strcmp(vi_policy_name(VI_POLICY_FUSED), "fused") &&
              !strcmp(vi_policy_name(VI_POLICY_CNN), "cnn") &&
              !strcmp(vi_policy_name(VI_POLICY_CNN_BLINK), "cnn+blink"),
          "names of the policies, in their order");
    CHECK(!strcmp(vi_answer_name(VI_LIVE), "live") && !strcmp(vi_answer_name(VI_SPOOF), "spoof") &&
              !strcmp(vi_answer_name(VI_UNDECIDED), "not decided"),
          "names of the answers");
}

/* ---- poor pictures --------------------------------------------------------------------------- */

static const struct vi_verdict_options fused = {.policy = VI_POLICY_FUSED},
                                       eyeless = {.no_eyes = true};

static void test_faults(void)
{
    struct vi_texture faulty[6];
    static const char *const reasons[] = {"too small",  "too dark", "too bright",
                                          "too bright", "blurred",  "too dark"};
    for (int i = 0; i < 6; i++) faulty[i] = good;
    faulty[0].size = 40;
    faulty[1].brightness = 0.05;
    faulty[2].brightness = 0.95;
    faulty[3].brightness = 0.6, faulty[3].clipped = 0.55;
    faulty[4].sharpness = 10;
    faulty[5].brightness = NAN;
    for (int i = 0; i < 6; i++) {
        struct vi_verdict verdict = {.frames = 0}, other = {.frames = 0};
        struct vi_evidence frame = evidence(0.95, 1, 5), clear = frame;
        frame.texture = faulty[i];
        vi_verdict_update(&verdict, &fused, &frame);
        bool at_once = is(&verdict, VI_UNDECIDED, reasons[i]);
        show(&verdict, &fused, frame, 3, 30);
        CHECK(at_once && is(&verdict, VI_UNDECIDED, reasons[i]), "%s, case %d", reasons[i], i);
        show(&verdict, &fused, clear, 0.1, 30);
        CHECK(is(&verdict, VI_UNDECIDED, looking), "a first good picture does not say much");
        show(&verdict, &fused, clear, 1, 30);
        CHECK(is(&verdict, VI_LIVE, ""), "some more do");
        show(&verdict, &fused, frame, 1, 30);
        CHECK(is(&verdict, VI_UNDECIDED, reasons[i]), "what is live is no longer when it is %s",
              reasons[i]);
        frame.real = 0.05;
        show(&verdict, &fused, frame, 2, 30);
        show(&other, &fused, frame, 1, 30);
        CHECK(is(&verdict, VI_SPOOF, picture) && is(&other, VI_SPOOF, picture),
              "a spoof that is %s is a spoof", reasons[i]);
    }
}

/* Figures that go up and down around a limit, like those of all cameras. */
static void test_flicker(void)
{
    static const char *const names[] = {"size",      "brightness", "glare",
                                        "sharpness", "a pattern",  "the network's answer"};
    for (int what = 0; what < 6; what++) {
        struct vi_verdict verdict = {.frames = 0};
        int changes = 0;
        show(&verdict, &eyeless, evidence(0.9, 0, 1), 1, 30);
        for (int i = 0; i < 300; i++) {
            struct vi_evidence frame = evidence(0.9, 0, verdict.last + 1 / 30.0);
            enum vi_answer before = verdict.answer;
            double side = i % 2 ? 1 : -1;
            if (what == 0) frame.texture.size = i % 2 ? 47 : 49;
            if (what == 1) frame.texture.brightness = 0.12 + 0.005 * side;
            if (what == 2) frame.texture.brightness = 0.8 + 0.02 * side;
            if (what == 3) frame.texture.sharpness = 40 + 2 * side;
            if (what == 4) frame.texture.moire = 2.7 + 0.4 * side;
            if (what == 5) frame.real = 0.56 + 0.4 * side;
            vi_verdict_update(&verdict, &eyeless, &frame);
            changes += verdict.answer != before;
        }
        CHECK(changes <= 1, "%s around a limit: %d changes", names[what], changes);
    }
    for (int k = 0; k < RATES; k++) {
        struct vi_verdict verdict = {.frames = 0};
        struct nn_rng rng = nn_rng_make(3, 0);
        int changes = 0;
        show(&verdict, &eyeless, evidence(0.9, 0, 1), 1, rates[k]);
        for (int i = 0; i < 10 * rates[k]; i++) {
            double real = 0.8 + 0.15 * (double)nn_rng_normal(&rng);
            changes += show(&verdict, &eyeless, evidence(real, 0, 0), 1 / rates[k], rates[k]);
            changes += verdict.answer != VI_LIVE;
        }
        CHECK(changes == 0, "an unsure network, mostly right: live all the time at %g per second",
              rates[k]);
    }
}

/* ---- time ------------------------------------------------------------------------------------ */

static void test_time(void)
{
    for (int k = 0; k < RATES; k++) {
        struct vi_verdict verdict = {.frames = 0};
        double rate = rates[k], first = 0, turned = 0, back = 0;
        vi_verdict_update(&verdict, &eyeless, &(struct vi_evidence){0.95, good, true, 0, 50});
        bool patient = is(&verdict, VI_UNDECIDED, looking);
        for (; verdict.answer != VI_LIVE && first < 9; first += 1 / rate)
            show(&verdict, &eyeless, evidence(0.95, 0, 0), 1 / rate, rate);
        show(&verdict, &eyeless, evidence(0.95, 0, 0), 20, rate);
        for (; verdict.answer != VI_SPOOF && turned < 9; turned += 1 / rate)
            show(&verdict, &eyeless, evidence(0.05, 0, 0), 1 / rate, rate);
        show(&verdict, &eyeless, evidence(0.05, 0, 0), 20, rate);
        for (; verdict.answer != VI_LIVE && back < 9; back += 1 / rate)
            show(&verdict, &eyeless, evidence(0.95, 0, 0), 1 / rate, rate);
        CHECK(patient && first >= 0.19 && first < 0.45 && turned > 0.3 && turned < 0.75 &&
                  back > 0.4 && back < 0.95,
              "%g per second: live after %.2f s, a change is noticed after %.2f s, one back %.2f s",
              rate, first, turned, back);
    }
    struct vi_verdict verdict = {.frames = 0}, still = {.frames = 0};
    show(&verdict, &eyeless, evidence(0.95, 0, 10), 2, 30);
    vi_verdict_update(&verdict, &eyeless, &(struct vi_evidence){0.95, good, true, 0, 15});
    CHECK(is(&verdict, VI_UNDECIDED, looking) && verdict.frames == 1 && verdict.first == 15,
          "after a gap all begins anew");
    show(&verdict, &eyeless, evidence(0.95, 0, 10), 1, 1);
    show(&verdict, &eyeless, evidence(0.95, 0, 10), 1, 1);
    CHECK(is(&verdict, VI_LIVE, ""), "a frame per second is no gap");
    vi_verdict_update(&verdict, &eyeless, &(struct vi_evidence){0.95, good, true, 0, 16.9});
    CHECK(is(&verdict, VI_LIVE, "") && verdict.last == 17, "a late frame counts");
    vi_verdict_update(&verdict, &eyeless, &(struct vi_evidence){0.95, good, true, 0, 1});
    CHECK(verdict.frames == 1 && verdict.last == 1, "another recording begins anew");
    for (int i = 0; i < 20; i++)
        vi_verdict_update(&still, &eyeless,
                          &(struct vi_evidence){0.95, good, true, 0, i % 3 == 1 ? NAN : 7});
    CHECK(is(&still, VI_LIVE, "") && still.frames == 20, "where time stands still frames count");
}

static void test_seldom_texture(void)
{
    struct vi_verdict verdict = {.frames = 0}, dark = {.frames = 0};
    int changes = 0;
    for (int i = 0; i < 90; i++) {
        struct vi_evidence frame = evidence(0.9, 1, i / 30.0), night = frame;
        enum vi_answer before = verdict.answer;
        night.texture.brightness = 0.01;
        frame.has_texture = night.has_texture = i % 10 == 0;
        frame.texture.moire = 4;
        vi_verdict_update(&verdict, &fused, &frame);
        vi_verdict_update(&dark, &fused, &night);
        changes += verdict.answer != before;
    }
    CHECK(is(&verdict, VI_SPOOF, grid) && changes == 1 && is(&dark, VI_UNDECIDED, "too dark"),
          "texture that is measured in every tenth frame holds between");
    struct vi_verdict never = {.frames = 0};
    struct vi_evidence bare = {.real = 0.9, .blinks = 1};
    show(&never, &fused, bare, 1, 30);
    CHECK(is(&never, VI_LIVE, "") && never.moire == 0, "without texture network and blinks decide");
}

static void test_blinks(void)
{
    struct vi_verdict verdict = {.frames = 0};
    show(&verdict, &fused, evidence(0.95, 0, 1), 3, 30);
    bool waits = is(&verdict, VI_UNDECIDED, waiting);
    show(&verdict, &fused, evidence(0.95, 1, 0), 1, 30);
    bool live = is(&verdict, VI_LIVE, "");
    show(&verdict, &fused, evidence(0.1, 1, 0), 1, 30);
    bool spoof = is(&verdict, VI_SPOOF, picture);
    show(&verdict, &fused, evidence(0.1, 9, 0), 1, 30);
    CHECK(waits && live && spoof && is(&verdict, VI_SPOOF, picture),
          "waiting, a blink, live, a picture instead: spoof, and blinks do not help it");
}

/* ---- whatever comes -------------------------------------------------------------------------- */

static int rank(enum vi_answer answer)
{
    return answer == VI_LIVE ? 2 : answer == VI_UNDECIDED ? 1 : 0;
}

static struct vi_evidence random_frame(struct nn_rng *rng, double *seconds)
{
    struct vi_evidence frame = evidence((double)nn_rng_uniform(rng, 0, 1), 0, *seconds);
    uint32_t kind = nn_rng_below(rng, 12);
    if (kind < 8) frame.real = 1 - 0.3 * frame.real;
    if (kind == 9) frame.texture.brightness = 0.02;
    if (kind == 10) frame.texture.size = 20;
    if (kind == 11) frame.texture.moire = 3.5;
    frame.has_texture = nn_rng_below(rng, 5) > 0;
    frame.blinks = nn_rng_below(rng, 3) > 0;
    *seconds += (double)nn_rng_uniform(rng, -0.05F, 0.4F);
    if (nn_rng_below(rng, 40) == 0) *seconds += 3;
    return frame;
}

/* Speaks against the face in one of all ways. */
static void deny(struct vi_evidence *frame, struct nn_rng *rng)
{
    switch (nn_rng_below(rng, 4)) {
    case 0:
        frame->real *= (double)nn_rng_uniform(rng, 0, 1);
        break;
    case 1:
        if (frame->texture.moire > 0) frame->texture.moire += 2;
        break;
    default:
        frame->blinks = 0;
    }
}

/* Two runs of the same film, in one of which more is said against the face: that one is never
 * called live where the other is not, nor is a spoof there anything better here. */
static void test_denials(void)
{
    struct nn_rng rng = nn_rng_make(17, 0);
    int worse = 0, lived = 0, differed = 0, blinked = 0;
    for (int film = 0; film < 3000; film++) {
        struct vi_verdict plain = {.frames = 0}, denied = plain, blinking = plain;
        struct vi_verdict_options options = {.policy = film % 3, .threshold = film % 2 ? 0 : 0.7};
        double seconds = 10;
        for (int i = 0; i < 40; i++) {
            struct vi_evidence frame = random_frame(&rng, &seconds), other = frame, more = frame;
            if (nn_rng_below(&rng, 6) == 0) deny(&other, &rng);
            more.blinks += (int)nn_rng_below(&rng, 2);
            vi_verdict_update(&plain, &options, &frame);
            vi_verdict_update(&denied, &options, &other);
            vi_verdict_update(&blinking, &options, &more);
            worse += rank(denied.answer) > rank(plain.answer);
            blinked += rank(blinking.answer) < rank(plain.answer);
            lived += plain.answer == VI_LIVE;
            differed += denied.answer != plain.answer;
        }
    }
    CHECK(worse == 0 && lived > 10000 && differed > 1000,
          "a denial never makes a face live (%d of 120000 frames were, %d differed)", lived,
          differed);
    CHECK(blinked == 0, "blinks never take anything away");
}

static void test_deterministic(void)
{
    struct vi_verdict runs[2] = {{.frames = 0}, {.frames = 0}};
    for (int run = 0; run < 2; run++) {
        struct nn_rng rng = nn_rng_make(21, 0);
        double seconds = 0;
        for (int i = 0; i < 500; i++) {
            struct vi_evidence frame = random_frame(&rng, &seconds);
            vi_verdict_update(&runs[run], &fused, &frame);
        }
    }
    CHECK(runs[0].score == runs[1].score && runs[0].moire == runs[1].moire &&
              runs[0].answer == runs[1].answer && runs[0].weight == runs[1].weight,
          "the same film, the same answer");
}

int main(void)
{
    test_truths();
    test_names();
    test_faults();
    test_flicker();
    test_time();
    test_seldom_texture();
    test_blinks();
    test_denials();
    test_deterministic();
    return test_done();
}
