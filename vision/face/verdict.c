/*
 * verdict.c — live, spoof, or not decided.
 *
 * Who speaks against a face is heard first: the network's smoothed answer, then a screen's or a
 * print's pattern. What is left may still be too poor a picture, or has not blinked yet: not
 * decided. Only then it is live. So a cue can deny, and nothing takes a denial back but the one
 * that uttered it.
 *
 * The figures about live faces are those of 18 small public data sets of one to some fifteen people
 * each: 3,951 pictures of live faces, 3,678 of shown ones.
 */
#include "vision/vision.h"

#include <math.h>
#include <stddef.h>

/* Seconds over which answers are averaged, the latest counting most: at 5 frames per second three
 * or four count, and a change is noticed after half a second. */
static const double memory = 0.7;
/* Seconds without a frame after which what was known is of no use. */
static const double longest_gap = 2;
/* A face is looked at for so long before anything is said: a network's answer to the first frame,
 * in which a face comes in sideways, is worth little. In frames where time stands still. */
static const double first_look = 0.2;
enum { FIRST_FRAMES = 2, FRAMES_ENOUGH = 15 };
/* Who is not live becomes it only this share of the way from the threshold to 1, and stays it down
 * to the threshold: an answer on the edge does not flicker. */
static const double margin = 0.2;

/* Mean height of the strongest peak: 2.0 for live faces, whatever the camera; in no picture of one
 * it is above 2.65. A pattern that has been seen is believed in down to `faded`. */
static const double pattern = 2.8, faded = 2.6;

/* Poor pictures. The network sees 32 x 32 pixels and wants some more to begin with (pixels). */
static const double smallest = 48;
/* Mean luma between which a face can be judged: of live faces 1 in 3,000 is below 0.15, none above
 * 0.8, none that bright has more than 0.4 of it clipped. */
static const double darkest = 0.12, brightest = 0.8, most_clipped = 0.4, bright = 0.5;
/* Variance of the Laplacian: 1 of 800 live faces is below, the middle one has 1,100. */
static const double dullest = 40;
/* A good picture stays one until it is so much worse. */
static const double ease = 0.9;

/* ---- what is known --------------------------------------------------------------------------- */

/* The reason why the picture cannot be judged; NULL: it can. */
static const char *find_fault(const struct vi_texture *texture, bool was_good)
{
    const double ease_now = was_good ? ease : 1;
    const bool blinding =
        texture->brightness > bright && texture->clipped > most_clipped / ease_now;
    if (texture->size < smallest * ease_now) return "too small";
    if (!(texture->brightness >= darkest * ease_now)) return "too dark";
    if (!(texture->brightness <= brightest / ease_now) || blinding) return "too bright";
    if (!(texture->sharpness >= dullest * ease_now)) return "blurred";
    return NULL;
}

/* A network that answers with no number speaks against everybody. */
static double clean(double real)
{
    return !(real > 0) ? 0 : real < 1 ? real : 1;
}

/* Averages are of all values so far, whose weights fade; `weight` is their sum. */
static void average(double *mean, double *weight, double value)
{
    *weight += 1;
    *mean += (value - *mean) / *weight;
}

/* What a frame says about the picture. */
static void look_at_texture(struct vi_verdict *verdict, const struct vi_texture *texture)
{
    verdict->fault = find_fault(texture, verdict->frames > 1 && !verdict->fault);
    /* Below 64 pixels there is no spectrum. */
    if (texture->moire > 0) average(&verdict->moire, &verdict->moire_weight, texture->moire);
    verdict->patterned = verdict->moire > (verdict->patterned ? faded : pattern);
}

/* What it says about the face. A poor picture may speak against it, not for it: else somebody could
 * wait in the dark until the network is sure. `sure`: from here on it is live. */
static void look_at_face(struct vi_verdict *verdict, double real, double threshold, double sure)
{
    if (verdict->fault)
        real = fmin(real, threshold);
    else if (verdict->good++ == 0)
        verdict->good_since = verdict->last;
    average(&verdict->score, &verdict->weight, real);
    if (verdict->score < threshold) verdict->network = VI_SPOOF;
    if (verdict->score >= sure) verdict->network = VI_LIVE;
}

static void remember(struct vi_verdict *verdict, const struct vi_evidence *evidence,
                     double threshold)
{
    const double seconds = isfinite(evidence->seconds) ? evidence->seconds : verdict->last;
    const double since = seconds - verdict->last;
    const double step = since > 0 ? since : 0, keep = exp(-step / memory);
    /* A recording that begins anew is a gap, too; a late frame is not. */
    if (verdict->frames == 0 || step > longest_gap || since < -longest_gap)
        *verdict = (struct vi_verdict){.first = seconds, .last = seconds};
    else
        verdict->last += step;
    verdict->weight *= keep;
    verdict->moire_weight *= keep;
    verdict->frames++;
    if (evidence->has_texture) look_at_texture(verdict, &evidence->texture);
    look_at_face(verdict, clean(evidence->real), threshold, threshold + margin * (1 - threshold));
}

/* ---- what is said ---------------------------------------------------------------------------- */

static void say(struct vi_verdict *verdict, enum vi_answer answer, const char *reason)
{
    verdict->answer = answer;
    verdict->reason = reason;
}

static bool is_enough(int frames, double seconds)
{
    return frames >= FIRST_FRAMES && (seconds >= first_look || frames >= FRAMES_ENOUGH);
}

static void decide(struct vi_verdict *verdict, bool blinked)
{
    const bool looked = is_enough(verdict->frames, verdict->last - verdict->first);
    const bool looked_well = is_enough(verdict->good, verdict->last - verdict->good_since);
    if (looked && verdict->network == VI_SPOOF)
        say(verdict, VI_SPOOF, "looks like a picture");
    else if (looked && verdict->patterned)
        say(verdict, VI_SPOOF, "moire pattern");
    else if (verdict->fault)
        say(verdict, VI_UNDECIDED, verdict->fault);
    else if (!looked_well || verdict->network != VI_LIVE)
        say(verdict, VI_UNDECIDED, "looking");
    else if (!blinked)
        say(verdict, VI_UNDECIDED, "waiting for a blink");
    else
        say(verdict, VI_LIVE, "");
}

/* As the tutorials do it: this frame alone. */
static void decide_at_once(struct vi_verdict *verdict, const struct vi_evidence *evidence,
                           double threshold, bool blinked)
{
    verdict->score = clean(evidence->real);
    verdict->first = verdict->frames++ ? verdict->first : evidence->seconds;
    verdict->last = evidence->seconds;
    verdict->network = verdict->score < threshold ? VI_SPOOF : VI_LIVE;
    if (verdict->network == VI_SPOOF)
        say(verdict, VI_SPOOF, "looks like a picture");
    else if (!blinked)
        say(verdict, VI_UNDECIDED, "waiting for a blink");
    else
        say(verdict, VI_LIVE, "");
}

void vi_verdict_update(struct vi_verdict *verdict, const struct vi_verdict_options *options,
                       const struct vi_evidence *evidence)
{
    const double threshold = options->threshold > 0 ? options->threshold : 0.5;
    const bool blinked =
        options->no_eyes || evidence->blinks >= (options->blinks > 0 ? options->blinks : 1);
    if (options->policy == VI_POLICY_FUSED) {
        remember(verdict, evidence, threshold);
        decide(verdict, blinked);
    } else {
        decide_at_once(verdict, evidence, threshold, blinked || options->policy == VI_POLICY_CNN);
    }
}

/* ---- names ----------------------------------------------------------------------------------- */

const char *vi_answer_name(enum vi_answer answer)
{
    static const char *const names[] = {
        [VI_UNDECIDED] = "not decided", [VI_LIVE] = "live", [VI_SPOOF] = "spoof"};
    return names[answer];
}

const char *vi_policy_name(enum vi_policy policy)
{
    static const char *const names[] = {
        [VI_POLICY_FUSED] = "fused", [VI_POLICY_CNN] = "cnn", [VI_POLICY_CNN_BLINK] = "cnn+blink"};
    return names[policy];
}
