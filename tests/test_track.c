/* test_track.c — faces on drawn paths keep their identities: crossing, trembling, missed by the
 * detector, entering and leaving, looked for in every frame or in some, at any frame rate. */
#include "tests/test.h"
#include "vision/vision.h"

enum { MOST = 100 };

/* A person of a size, on a straight line, who is there from `from` to `to` seconds. */
struct walker {
    double x, y, vx, vy, size, from, to;
};
struct film {
    const struct walker *walkers;
    int count;
    double rate, seconds;
    double tremble;          /* pixels, standard deviation */
    double missing;          /* share of faces that the detector does not find */
    int every;               /* it looks at every so many-th frame; 0: 1 */
    double hidden, cover[2]; /* nobody but the first is found between these seconds */
};
struct result {
    int64_t ids[MOST]; /* of walker i, in the last frame in which it was found */
    int changes;       /* of somebody's id */
    int wrong;         /* frames in which two have one id, or a track is none's */
    int fresh;
    int most;   /* tracks at once */
    double off; /* how far a box was from its walker, at most, in sizes; in all frames */
    struct vi_tracker tracker;
};

static struct vi_face face_at(const struct walker *walker, double seconds)
{
    double x = walker->x + walker->vx * seconds, y = walker->y + walker->vy * seconds;
    return (struct vi_face){0.9F, (float)x, (float)y, (float)(x + walker->size),
                            (float)(y + 1.3 * walker->size)};
}

static void tremble(struct vi_face *face, double by, struct nn_rng *rng)
{
    float *side[4] = {&face->x1, &face->y1, &face->x2, &face->y2};
    for (int k = 0; k < 4; k++) *side[k] += (float)(by * nn_rng_normal(rng));
}

/* Who of those there is found in this frame, best first in no particular order. */
static int look(struct vi_face *faces, int *who, const struct film *film, double seconds,
                struct nn_rng *rng)
{
    int found = 0;
    for (int i = 0; i < film->count; i++) {
        const struct walker *walker = &film->walkers[(i + 7) % film->count];
        bool covered =
            walker != film->walkers && seconds > film->cover[0] && seconds < film->cover[1];
        bool missed = nn_rng_uniform(rng, 0, 1) < (float)film->missing;
        if (covered || missed || seconds < walker->from || seconds >= walker->to) continue;
        faces[found] = face_at(walker, seconds);
        tremble(&faces[found], film->tremble, rng);
        who[found++] = (int)(walker - film->walkers);
    }
    return found;
}

static bool are_sound(const struct vi_tracker *tracker)
{
    uint32_t slots = 0;
    for (int i = 0; i < tracker->count; i++) {
        const struct vi_track *track = &tracker->track[i];
        if (track->slot < 0 || track->slot >= VI_MAX_TRACKS || slots >> track->slot & 1)
            return false;
        slots |= UINT32_C(1) << track->slot;
        if (i && (track->id <= track[-1].id || track->first < track[-1].first)) return false;
        if (!(track->face.x2 > track->face.x1) || !(track->face.y2 > track->face.y1)) return false;
        if (track->fresh && (track->frames != 1 || track->missed)) return false;
    }
    return tracker->count <= VI_MAX_TRACKS;
}

static void compare(struct result *result, const struct film *film, const struct vi_face *faces,
                    const int *who, int found)
{
    const struct vi_tracker *tracker = &result->tracker;
    for (int i = 0; i < found; i++) {
        int64_t id = 0;
        for (int k = 0; k < tracker->count; k++)
            if (!memcmp(&tracker->track[k].face, &faces[i], sizeof *faces))
                id = tracker->track[k].id;
        int64_t *known = &result->ids[who[i]];
        result->changes += *known && *known != id;
        result->wrong += !id;
        *known = id;
    }
    for (int i = 0; i < film->count; i++)
        for (int k = 0; k < i; k++)
            result->wrong += result->ids[i] && result->ids[i] == result->ids[k];
}

/* How far the boxes are from their people in this frame, found or not. */
static void compare_boxes(struct result *result, const struct film *film, double seconds)
{
    for (int i = 0; i < film->count; i++)
        for (int k = 0; k < result->tracker.count; k++) {
            struct vi_face truth = face_at(&film->walkers[i], seconds);
            const struct vi_track *track = &result->tracker.track[k];
            if (track->id != result->ids[i] || track->seen - track->first < 0.5) continue;
            double off = hypot(track->face.x1 - truth.x1, track->face.y2 - truth.y2);
            result->off = fmax(result->off, off / film->walkers[i].size);
        }
}

static struct result play(const struct film *film)
{
    struct result result = {.most = 0};
    struct nn_rng rng = nn_rng_make(5, 0);
    int frames = (int)(film->seconds * film->rate), every = film->every ? film->every : 1;
    for (int frame = 0; frame < frames; frame++) {
        struct vi_face faces[MOST];
        int who[MOST];
        double seconds = 1000 + frame / film->rate, time = frame / film->rate;
        if (frame % every == 0) {
            int found = look(faces, who, film, time, &rng);
            vi_track_update(&result.tracker, faces, found, seconds);
            compare(&result, film, faces, who, found);
        } else {
            vi_track_predict(&result.tracker, seconds);
        }
        for (int k = 0; k < result.tracker.count; k++)
            result.fresh += result.tracker.track[k].fresh;
        result.wrong += !are_sound(&result.tracker);
        if (result.tracker.count > result.most) result.most = result.tracker.count;
        compare_boxes(&result, film, time);
    }
    return result;
}

/* Everybody kept one identity, and there was none but theirs. */
static bool kept(const struct film *film, double off)
{
    struct result result = play(film);
    bool ok = result.changes == 0 && result.wrong == 0 && result.fresh == film->count &&
              result.tracker.last_id == film->count && result.off < off;
    if (!ok)
        printf("# %d changes, %d wrong, %d fresh, ids to %lld, off by %.2f\n", result.changes,
               result.wrong, result.fresh, (long long)result.tracker.last_id, result.off);
    return ok;
}

/* ---- paths ----------------------------------------------------------------------------------- */

static const double rates[] = {5, 10, 24, 30, 60};
enum { RATES = sizeof rates / sizeof *rates };

static void test_paths(void)
{
    static const struct walker one[] = {{100, 100, 0, 0, 80, 0, 9}};
    static const struct walker running[] = {{0, 100, 200, 30, 80, 0, 9}};
    static const struct walker walking[] = {{0, 100, 120, 20, 80, 0, 9}};
    /* Past each other on one line, and a little below. */
    static const struct walker crossing[] = {{0, 100, 100, 0, 90, 0, 9},
                                             {500, 110, -100, 0, 84, 0, 9}};
    static const struct walker neighbours[] = {{100, 100, 0, 0, 80, 0, 9},
                                               {190, 100, 0, 0, 80, 0, 9}};
    for (int i = 0; i < RATES; i++) {
        double rate = rates[i];
        CHECK(kept(&(struct film){one, 1, rate, 4, .tremble = 3}, 0.3),
              "somebody sits still, %g frames per second", rate);
        CHECK(kept(&(struct film){running, 1, rate, 4, .tremble = 2}, 0.3),
              "somebody runs past, %g per second", rate);
        CHECK(kept(&(struct film){crossing, 2, rate, 4, .tremble = 1}, 0.3),
              "two cross, both are seen all the time, %g per second", rate);
        CHECK(kept(&(struct film){neighbours, 2, rate, 8, .tremble = 4, .missing = 0.2}, 0.3),
              "two beside each other, one in five is missed, %g per second", rate);
    }
    for (int i = 1; i < RATES; i++) {
        double rate = rates[i];
        CHECK(kept(&(struct film){crossing, 2, rate, 4, .tremble = 1, .cover = {2.3, 2.75}}, 0.5),
              "two cross, one hides the other for half a second, %g per second", rate);
    }
    for (int every = 2; every <= 10; every += 4) {
        CHECK(kept(&(struct film){walking, 1, 30, 4, .tremble = 1, .every = every}, 0.3),
              "looked for in every %d-th frame, the box moves on between", every);
        CHECK(kept(&(struct film){crossing, 2, 60, 4, .tremble = 1, .every = every}, 0.3),
              "two cross, looked for in every %d-th of 60 frames per second", every);
    }
}

static void test_coming_and_going(void)
{
    static const struct walker guests[] = {{100, 100, 0, 0, 80, 0, 9},
                                           {300, 100, 10, 0, 80, 1, 2},
                                           {305, 100, 10, 0, 80, 4, 6},
                                           {500, 100, 0, 10, 60, 1.5, 5}};
    struct walker ten[10], crowd[40];
    for (int i = 0; i < 10; i++)
        ten[i] =
            (struct walker){50 + 110.0 * (i % 5), 40 + 170.0 * (i / 5), i % 3 * 5.0, 0, 70, 0, 9};
    for (int i = 0; i < 40; i++)
        crowd[i] = (struct walker){60.0 * (i % 8), 80.0 * (i / 8), 0, 0, 40, 0, 9};
    for (int i = 0; i < RATES; i++) {
        CHECK(kept(&(struct film){guests, 4, rates[i], 7, .tremble = 1}, 0.3),
              "people come and go; who comes after another is somebody else, %g per second",
              rates[i]);
        CHECK(kept(&(struct film){ten, 10, rates[i], 4, .tremble = 2, .missing = 0.1}, 0.4),
              "ten faces, %g per second", rates[i]);
    }
    struct result result = play(&(struct film){crowd, 40, 30, 3, .tremble = 0});
    CHECK(result.most == VI_MAX_TRACKS && result.fresh == VI_MAX_TRACKS && result.changes == 0,
          "of 40 faces %d are followed", VI_MAX_TRACKS);
}

/* ---- when somebody is gone ------------------------------------------------------------------- */

static void test_patience(void)
{
    struct vi_face face = face_at(&(struct walker){10, 10, 0, 0, 50, 0, 1}, 0);
    for (int i = 0; i < RATES; i++) {
        struct vi_tracker tracker = {.count = 0};
        double seconds = 3, gone = 0;
        for (int k = 0; k < 5; k++) vi_track_update(&tracker, &face, 1, seconds += 1 / rates[i]);
        double seen = seconds;
        bool same = tracker.count == 1 && tracker.track[0].frames == 5;
        while (tracker.count && gone < 5) {
            vi_track_update(&tracker, NULL, 0, seconds += 1 / rates[i]);
            gone = seconds - seen;
        }
        CHECK(same && gone > 0.5 && gone < 1.01, "gone after %.2f s at %g per second", gone,
              rates[i]);
        vi_track_update(&tracker, &face, 1, seconds);
        CHECK(tracker.count == 1 && tracker.track[0].id == 2 && tracker.track[0].fresh,
              "and back as somebody else");
    }
    struct vi_tracker tracker = {.count = 0};
    int frames = 0;
    vi_track_update(&tracker, &face, 1, 7);
    for (; tracker.count && frames < 1000; frames++) vi_track_update(&tracker, NULL, 0, 7);
    CHECK(frames > 10 && frames < 100, "gone after %d frames where time stands still", frames);
    vi_track_update(&tracker, &face, 1, 8);
    vi_track_update(&tracker, &face, 1, 9);
    CHECK(tracker.track[0].frames == 2, "a frame per second is enough for who stays");
    vi_track_update(&tracker, &face, 1, 19);
    CHECK(tracker.count == 1 && tracker.track[0].fresh, "after ten seconds it is somebody else");
    vi_track_predict(&tracker, 30);
    CHECK(tracker.count == 0, "nobody is expected for ten seconds");
}

static void test_time(void)
{
    struct vi_face face = face_at(&(struct walker){10, 10, 0, 0, 50, 0, 1}, 0);
    struct vi_tracker tracker = {.count = 0};
    vi_track_update(&tracker, &face, 1, 100);
    vi_track_update(&tracker, &face, 1, 99.9);
    vi_track_update(&tracker, &face, 1, 100);
    CHECK(tracker.track[0].id == 1 && tracker.track[0].frames == 3 && tracker.last == 100,
          "frames out of order");
    vi_track_update(&tracker, &face, 1, NAN);
    vi_track_update(&tracker, &face, 1, INFINITY);
    vi_track_predict(&tracker, -INFINITY);
    CHECK(tracker.track[0].frames == 5 && tracker.last == 100 && are_sound(&tracker),
          "a time that is none");
    vi_track_update(&tracker, &face, 1, 0.5);
    CHECK(tracker.count == 1 && tracker.track[0].id == 2 && tracker.last == 0.5,
          "another video begins");
}

/* ---- damage ---------------------------------------------------------------------------------- */

static void test_bad_boxes(void)
{
    static const struct vi_face bad[] = {
        {1, NAN, 0, 10, 10},     {1, 0, NAN, 10, 10},       {1, 0, 0, NAN, 10},  {1, 0, 0, 10, NAN},
        {1, 0, 0, INFINITY, 10}, {1, -INFINITY, 0, 10, 10}, {1, 0, 0, 0, 10},    {1, 0, 0, 10, 0},
        {1, 10, 0, 0, 10},       {1, 0, 10, 10, 0},         {1, 0, 0, 3e38F, 1},
    };
    enum { BAD = sizeof bad / sizeof *bad };
    struct vi_tracker tracker = {.count = 0};
    struct vi_face faces[BAD + 1];
    memcpy(faces, bad, sizeof bad);
    faces[BAD] = (struct vi_face){1, 0, 0, 10, 10};
    for (int i = 0; i < 10; i++) vi_track_update(&tracker, faces, BAD + 1, i * 0.1);
    CHECK(tracker.count == 1 && tracker.track[0].frames == 10 && tracker.last_id == 1,
          "boxes that are empty or no numbers are ignored");
}

/* Anything may come, in any order, at any time. */
static void test_anything(void)
{
    struct nn_rng rng = nn_rng_make(9, 0);
    struct vi_tracker tracker = {.count = 0};
    bool sound = true;
    double seconds = 0;
    for (int turn = 0; turn < 3000; turn++) {
        static const float sizes[] = {1e-30F, 1, 30, 1000, 9e5F, 3e38F};
        struct vi_face faces[MOST];
        int count = (int)nn_rng_below(&rng, MOST + 1);
        for (int i = 0; i < count; i++) {
            float size = sizes[nn_rng_below(&rng, 6)], place = sizes[nn_rng_below(&rng, 6)];
            float x = place * nn_rng_normal(&rng), y = place * nn_rng_normal(&rng);
            faces[i] = (struct vi_face){1, x, y, x + size * nn_rng_uniform(&rng, -0.1F, 1),
                                        y + size * nn_rng_uniform(&rng, -0.1F, 1)};
        }
        seconds += (double)nn_rng_normal(&rng) * (turn % 7 ? 0.05 : 3);
        int64_t last = tracker.last_id;
        if (turn % 3) vi_track_update(&tracker, faces, count, seconds);
        if (turn % 3 == 0) vi_track_predict(&tracker, seconds);
        sound = sound && are_sound(&tracker) && tracker.last_id >= last;
        for (int i = 0; i < tracker.count; i++)
            sound = sound && tracker.track[i].fresh == (tracker.track[i].id > last);
    }
    CHECK(sound && tracker.last_id > 1000, "whatever comes, tracks are sound");
}

int main(void)
{
    test_paths();
    test_coming_and_going();
    test_patience();
    test_time();
    test_bad_boxes();
    test_anything();
    return test_done();
}
