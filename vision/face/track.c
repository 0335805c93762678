/*
 * track.c — which face of this frame is which of those before.
 *
 * A track moves on with constant velocity; a detection belongs to the track whose expected box it
 * fits, the best pairs of all first. How well they fit is the distance IoU (Zheng et al.,
 * "Distance-IoU Loss", AAAI 2020): overlap over union, minus the squared distance of the centres in
 * units of the diagonal of what encloses both. It tells boxes apart which overlap equally, as those
 * of two people who pass each other do.
 *
 * All is in seconds, so that 5 frames per second and 60 behave alike.
 */
#include "vision/vision.h"

#include <math.h>
#include <string.h>

/* Two boxes of one size fit up to a shift of three quarters of their width. At 5 frames per second
 * that is nearly four widths per second, faster than people move; and a neighbour at the table is
 * further away. */
static const double least_fit = 0;
/* The same face is not four times as large a moment later. */
static const double most_growth = 4;
/* Seconds within which the velocity follows: a detector's boxes tremble by a few pixels, which at
 * 60 frames per second would be hundreds of pixels per second. */
static const double settling = 0.15;
/* A face that is looked for and not found slows down: people who turn away stop, too. */
static const double slowing = 0.3;
/* Seconds without being found after which a face is gone: a hand before it, a quick turn are
 * shorter; the change from one person to another, or to a picture, is hardly. */
static const double patience = 0.7;
/* The same in frames, if time stands still. */
enum { MOST_MISSED = 45 };
/* Seconds without a look (a camera that hangs) after which nobody is known any more. */
static const double longest_gap = 2;
/* Faces that are considered in a frame, sure ones first. */
enum { CONSIDERED = 2 * VI_MAX_TRACKS };
/* Pixels: boxes beyond are damage. */
static const float farthest = 1e6f;

static bool is_box(const struct vi_face *face)
{
    return fabsf(face->x1) < farthest && fabsf(face->y1) < farthest && fabsf(face->x2) < farthest &&
           fabsf(face->y2) < farthest && face->x2 > face->x1 && face->y2 > face->y1;
}

/* ---- moving on ------------------------------------------------------------------------------- */

static bool is_lost(const struct vi_track *track, double seconds)
{
    double unseen = seconds - track->seen;
    return unseen > longest_gap || track->missed > MOST_MISSED ||
           (track->missed > 0 && unseen > patience);
}

static void drop_lost(struct vi_tracker *tracker, double seconds)
{
    int kept = 0;
    for (int i = 0; i < tracker->count; i++)
        if (!is_lost(&tracker->track[i], seconds)) tracker->track[kept++] = tracker->track[i];
    tracker->count = kept;
}

static void move(struct vi_track *track, double step)
{
    struct vi_face *face = &track->face;
    struct vi_face moved = *face;
    moved.x1 += (float)(track->velocity[0] * step);
    moved.y1 += (float)(track->velocity[1] * step);
    moved.x2 += (float)(track->velocity[2] * step);
    moved.y2 += (float)(track->velocity[3] * step);
    /* One that shrinks to nothing, or leaves for good, stays where it is until it is dropped. */
    if (is_box(&moved)) *face = moved;
    track->fresh = false;
}

/* Time may stand still; a step back of more than a moment is another recording, in which nobody is
 * known. Returns by how much time has gone on. */
static double advance(struct vi_tracker *tracker, double seconds)
{
    double step = seconds - tracker->last;
    if (!isfinite(seconds)) return 0;
    if (step < -patience) tracker->count = 0;
    if (step > 0 || step < -patience || tracker->count == 0) tracker->last = seconds;
    if (!(step > 0)) step = 0;
    for (int i = 0; i < tracker->count; i++) move(&tracker->track[i], step);
    return step;
}

void vi_track_predict(struct vi_tracker *tracker, double seconds)
{
    advance(tracker, seconds);
    drop_lost(tracker, tracker->last);
}

/* ---- which is whose -------------------------------------------------------------------------- */

static double least(double a, double b)
{
    return a < b ? a : b;
}

static double most(double a, double b)
{
    return a > b ? a : b;
}

/* -1 .. 1; -1 for boxes of very different sizes. */
static double fit(const struct vi_face *a, const struct vi_face *b)
{
    double width_a = (double)a->x2 - a->x1, height_a = (double)a->y2 - a->y1;
    double width_b = (double)b->x2 - b->x1, height_b = (double)b->y2 - b->y1;
    double area_a = width_a * height_a, area_b = width_b * height_b;
    if (most(area_a, area_b) > most_growth * least(area_a, area_b)) return -1;
    double across = least(a->x2, b->x2) - most(a->x1, b->x1);
    double along = least(a->y2, b->y2) - most(a->y1, b->y1);
    double common = most(across, 0) * most(along, 0);
    /* What encloses both is as wide as both together, minus what they share. */
    double width = width_a + width_b - across, height = height_a + height_b - along;
    double x = ((double)a->x1 + a->x2 - b->x1 - b->x2) / 2;
    double y = ((double)a->y1 + a->y2 - b->y1 - b->y2) / 2;
    return common / (area_a + area_b - common) -
           (x * x + y * y) / (width * width + height * height);
}

struct choice { /* of a track: the best of the faces that nobody has taken */
    int face;   /* -1: none fits */
    double fit;
};

static struct choice choose(const struct vi_track *track, const struct vi_face *faces, int count,
                            const bool *taken)
{
    struct choice best = {-1, least_fit};
    for (int i = 0; i < count; i++) {
        if (taken[i]) continue;
        double value = fit(&track->face, &faces[i]);
        if (value > best.fit) best = (struct choice){i, value};
    }
    return best;
}

static void see(struct vi_track *track, const struct vi_face *face, double seconds)
{
    double since = seconds - track->seen;
    if (since > 1e-3) {
        /* The box was moved by the velocity: what it is off is what the velocity is off. */
        double gain = (1 - exp(-since / settling)) / since;
        track->velocity[0] += (float)(gain * (face->x1 - track->face.x1));
        track->velocity[1] += (float)(gain * (face->y1 - track->face.y1));
        track->velocity[2] += (float)(gain * (face->x2 - track->face.x2));
        track->velocity[3] += (float)(gain * (face->y2 - track->face.y2));
    }
    track->face = *face;
    track->seen = seconds;
    track->frames++;
    track->missed = 0;
}

static void miss(struct vi_track *track, double step)
{
    track->missed++;
    for (int k = 0; k < 4; k++) track->velocity[k] *= (float)exp(-step / slowing);
}

/* The track that fits its face best, of those whose turn has not come; -1: there is none. Who has
 * lost its face to another chooses anew. */
static int best_track(struct choice *choices, const struct vi_tracker *tracker, const bool *done,
                      const struct vi_face *faces, int count, const bool *taken)
{
    int best = -1;
    for (int i = 0; i < tracker->count; i++) {
        if (done[i]) continue;
        if (choices[i].face >= 0 && taken[choices[i].face])
            choices[i] = choose(&tracker->track[i], faces, count, taken);
        if (best < 0 || choices[i].fit > choices[best].fit) best = i;
    }
    return best;
}

/* Gives each track its face, the best pairs first. */
static void match(struct vi_tracker *tracker, const struct vi_face *faces, int count, bool *taken,
                  double step)
{
    struct choice choices[VI_MAX_TRACKS] = {{0, 0}};
    bool done[VI_MAX_TRACKS] = {false};
    int best;
    for (int i = 0; i < tracker->count; i++)
        choices[i] = choose(&tracker->track[i], faces, count, taken);
    while ((best = best_track(choices, tracker, done, faces, count, taken)) >= 0) {
        const int face = choices[best].face;
        done[best] = true;
        if (face < 0) {
            miss(&tracker->track[best], step);
        } else {
            taken[face] = true;
            see(&tracker->track[best], &faces[face], tracker->last);
        }
    }
}

/* ---- newcomers ------------------------------------------------------------------------------- */

static int free_slot(const struct vi_tracker *tracker)
{
    uint32_t used = 0;
    int slot = 0;
    for (int i = 0; i < tracker->count; i++) used |= UINT32_C(1) << tracker->track[i].slot;
    while (used >> slot & 1) slot++;
    return slot;
}

static void begin(struct vi_tracker *tracker, const struct vi_face *face)
{
    if (tracker->count == VI_MAX_TRACKS) return;
    int slot = free_slot(tracker);
    tracker->track[tracker->count++] = (struct vi_track){.id = ++tracker->last_id,
                                                         .face = *face,
                                                         .first = tracker->last,
                                                         .seen = tracker->last,
                                                         .frames = 1,
                                                         .slot = slot,
                                                         .fresh = true};
}

void vi_track_update(struct vi_tracker *tracker, const struct vi_face *faces, int count,
                     double seconds)
{
    struct vi_face good[CONSIDERED] = {{0, 0, 0, 0, 0}};
    bool taken[CONSIDERED] = {false};
    int known = 0;
    for (int i = 0; i < count && known < CONSIDERED; i++)
        if (is_box(&faces[i])) good[known++] = faces[i];
    double step = advance(tracker, seconds);
    drop_lost(tracker, tracker->last);
    match(tracker, good, known, taken, step);
    drop_lost(tracker, tracker->last);
    for (int i = 0; i < known; i++)
        if (!taken[i]) begin(tracker, &good[i]);
}
