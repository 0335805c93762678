/*
 * blink.c — eyes that open and close.
 *
 * Soukupova & Cech's ratio of height to width stays the same when a face comes nearer or turns in
 * the plane of the picture, but not from face to face (0.2 to 0.4 with open eyes; less behind
 * glasses), nor when the head turns away or nods. So a blink is not a ratio below a number, but one
 * that falls quickly from where it has been of late, and comes back soon:
 *
 *     level     where it has been: a mean over a second or so that rises faster than it sinks, and
 *               rests while the eyes are closed
 *     closed    below CLOSE levels, out of the noise, and open within the last FALL seconds
 *     open      above REOPEN levels again
 *     a blink   if that took between SHORTEST and LONGEST seconds
 *
 * People's blinks take 0.1 to 0.4 s. Points that jump for a single frame of a fast camera are none;
 * at 10 frames a second a single frame is all there is of one.
 */
#include "vision/vision.h"

#include <math.h>

enum { POINTS = 68, RIGHT_EYE = 36, LEFT_EYE = 42 };

static const double CLOSE = 0.65, REOPEN = 0.8; /* levels */
static const double NOISE = 3.5;                /* mean steps from frame to frame */
static const double FALL = 0.25, SHORTEST = 0.045, LONGEST = 0.5;
static const double RISE = 0.33, SINK = 1; /* seconds: time constants of the level */
static const double LEARN = 0.25;          /* seconds, and */
enum { LEARN_FRAMES = 3 };                 /* frames until the level is known */
static const double GAP = 0.4; /* seconds without a frame: who knows what the eyes did */

static double distance(const struct vi_point *a, const struct vi_point *b)
{
    return hypot((double)a->x - (double)b->x, (double)a->y - (double)b->y);
}

double vi_eye_aspect_ratio(const struct vi_point eye[6])
{
    double width = distance(&eye[0], &eye[3]);
    return width > 0 ? (distance(&eye[1], &eye[5]) + distance(&eye[2], &eye[4])) / (2 * width) : 0;
}

/* As the tutorials count: time plays no part. */
static bool update_fixed(struct vi_blink *blink, const struct vi_blink_options *options,
                         double seconds)
{
    const int least = options->frames > 0 ? options->frames : 2;
    blink->closed = blink->ear < options->ear;
    if (blink->closed) {
        if (blink->frames++ == 0) blink->since = seconds;
        return false;
    }
    bool blinked = blink->frames >= least;
    blink->frames = 0;
    return blinked;
}

/* At first the mean of all there was, then one that forgets. */
static void learn(struct vi_blink *blink, double passed, double step)
{
    double rate = 1 - exp(-passed / (blink->ear > blink->level ? RISE : SINK));
    double first = 1.0 / ++blink->seen;
    if (rate < first) rate = first;
    blink->noise += rate * (fabs(step) - blink->noise);
    blink->level += rate * (blink->ear - blink->level);
    blink->learnt += passed;
    if (blink->learnt >= LEARN && blink->seen >= LEARN_FRAMES) blink->open = blink->level;
}

static void forget(struct vi_blink *blink)
{
    blink->closed = false;
    blink->frames = blink->seen = 0;
    blink->open = blink->noise = blink->learnt = 0;
    blink->level = blink->ear;
}

static bool closes(const struct vi_blink *blink, double passed, double seconds)
{
    const double fall = FALL > 1.5 * passed ? FALL : 1.5 * passed;
    return blink->open > 0 && blink->ear < CLOSE * blink->open &&
           blink->ear < blink->open - NOISE * blink->noise && seconds - blink->wide <= fall;
}

/* `step`: from the last frame's ratio. */
static bool update_relative(struct vi_blink *blink, double step, double seconds)
{
    bool blinked = false;
    double passed = seconds - blink->last;
    if (blink->seen == 0 || !(passed >= 0 && passed <= GAP)) {
        forget(blink);
        passed = step = 0;
    }
    if (blink->closed) {
        const double lasted = seconds - blink->since;
        blink->frames++;
        /* Closed for long: asleep, or looking down, and that is how these eyes are now. */
        if (lasted > LONGEST) learn(blink, passed, step);
        if (blink->ear > REOPEN * blink->open) {
            blinked = lasted >= SHORTEST && lasted <= LONGEST;
            blink->closed = false;
            blink->frames = 0;
        }
    } else if (closes(blink, passed, seconds)) {
        blink->closed = true;
        blink->frames = 1;
        blink->since = seconds;
    } else {
        learn(blink, passed, step);
    }
    if (blink->ear > REOPEN * blink->level) blink->wide = seconds;
    return blinked;
}

bool vi_blink_update(struct vi_blink *blink, const struct vi_blink_options *options,
                     const struct vi_point *points, int count, double seconds)
{
    if (count != POINTS) return false;
    const double before = blink->ear;
    blink->left = vi_eye_aspect_ratio(points + LEFT_EYE);
    blink->right = vi_eye_aspect_ratio(points + RIGHT_EYE);
    blink->ear = (blink->left + blink->right) / 2;
    bool blinked = options->ear > 0 ? update_fixed(blink, options, seconds)
                                    : update_relative(blink, blink->ear - before, seconds);
    blink->last = seconds;
    blink->count += blinked;
    return blinked;
}
