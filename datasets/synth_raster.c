/* synth_raster.c — from points on the head to the nearest surface at every sample. */
#include "datasets/synth.h"

struct ds_vec ds_pose_turn(const struct ds_pose *pose, struct ds_vec v)
{
    const float(*m)[3] = pose->turn;
    return ds_vec(m[0][0] * v.x + m[0][1] * v.y + m[0][2] * v.z,
                  m[1][0] * v.x + m[1][1] * v.y + m[1][2] * v.z,
                  m[2][0] * v.x + m[2][1] * v.y + m[2][2] * v.z);
}

static struct ds_vec view(const struct ds_pose *pose, struct ds_vec p)
{
    return ds_add(ds_pose_turn(pose, ds_sub(p, pose->pivot)), pose->pivot);
}

/* Perspective: what is nearer by z is larger by distance / (distance - z). */
static struct ds_vec project(const struct ds_pose *pose, struct ds_vec v)
{
    float s = pose->scale * pose->distance / (pose->distance - v.z);
    return ds_vec(pose->x + s * v.x, pose->y - s * v.y, v.z);
}

struct ds_vec ds_pose_project(const struct ds_pose *pose, struct ds_vec p)
{
    return project(pose, view(pose, p));
}

void ds_mesh_place(struct ds_mesh *mesh, const struct ds_pose *pose, const struct ds_pose *body)
{
    int rows = mesh->rows, columns = mesh->columns;
    for (int i = 0; i < rows * columns; i++) {
        struct ds_vertex *v = mesh->vertex + i;
        struct ds_vec q = view(pose, v->p);
        if (body) q = ds_mix(view(body, v->p), q, ds_step(-1.6F, -0.75F, v->p.y));
        v->q = q;
    }
    for (int i = 0; i < rows; i++) {
        int up = i + 1 < rows ? i + 1 : mesh->ring ? 0 : i;
        int down = i > 0 ? i - 1 : mesh->ring ? rows - 1 : i;
        for (int j = 0; j < columns; j++) {
            int right = j + 1 < columns ? j + 1 : 0, left = j > 0 ? j - 1 : columns - 1;
            struct ds_vec along =
                ds_sub(mesh->vertex[i * columns + right].q, mesh->vertex[i * columns + left].q);
            struct ds_vec rise =
                ds_sub(mesh->vertex[up * columns + j].q, mesh->vertex[down * columns + j].q);
            struct ds_vec n = ds_unit(ds_cross(along, rise));
            if (ds_dot(n, n) < 0.5F) /* the pole of a loft: straight up or down */
                n = ds_pose_turn(pose, ds_vec(0, i ? 1 : -1, 0));
            mesh->vertex[i * columns + j].n = n;
        }
    }
    for (int i = 0; i < rows * columns; i++) mesh->vertex[i].q = project(pose, mesh->vertex[i].q);
}

struct screen {
    struct ds_sample *samples;
    int side;
    enum ds_part part;
};

static void put(struct ds_sample *s, const struct ds_vertex *const v[3], const float w[3],
                float depth, enum ds_part part)
{
    float mask = w[0] * v[0]->mask + w[1] * v[1]->mask + w[2] * v[2]->mask;
    if (mask < 0) return;
    struct ds_vec p = ds_vec(0, 0, 0), n = p;
    for (int k = 0; k < 3; k++) {
        p = ds_add(p, ds_scale(v[k]->p, w[k]));
        n = ds_add(n, ds_scale(v[k]->n, w[k]));
    }
    if (part == DS_PART_LENS) {
        s->lens = 1 + p.x + 0.6F * p.y;
        return;
    }
    s->depth = depth;
    s->p = p;
    s->n = n;
    s->mask = mask;
    s->part = part;
    s->lens = 0;
}

/* Barycentric coordinates are linear over the picture: stepped along a row. Triangles are a pixel
 * or two wide, so perspective inside one is ignored. */
static void triangle(const struct screen *screen, const struct ds_vertex *a,
                     const struct ds_vertex *b, const struct ds_vertex *c)
{
    float area = (b->q.x - a->q.x) * (c->q.y - a->q.y) - (c->q.x - a->q.x) * (b->q.y - a->q.y);
    bool back = area > 0; /* y grows downwards: front faces turn the other way */
    /* Closed bodies hide their far side; the others are shells, or mirrored. */
    bool closed = screen->part == DS_PART_FACE || screen->part == DS_PART_NECK ||
                  screen->part == DS_PART_TORSO;
    if (fabsf(area) < 1e-9F || (back && closed)) return;
    const struct ds_vertex *const v[3] = {a, b, c};
    float last = (float)(screen->side - 1), x0 = last, x1 = 0, y0 = last, y1 = 0;
    for (int k = 0; k < 3; k++) {
        x0 = ds_min(x0, v[k]->q.x);
        x1 = ds_max(x1, v[k]->q.x);
        y0 = ds_min(y0, v[k]->q.y);
        y1 = ds_max(y1, v[k]->q.y);
    }
    int left = (int)ceilf(ds_max(x0, 0)), right = (int)floorf(ds_min(x1, last));
    int top = (int)ceilf(ds_max(y0, 0)), bottom = (int)floorf(ds_min(y1, last));
    float inverse = 1 / area;
    float u_x = (c->q.y - a->q.y) * inverse, u_y = (a->q.x - c->q.x) * inverse;
    float v_x = (a->q.y - b->q.y) * inverse, v_y = (b->q.x - a->q.x) * inverse;
    for (int y = top; y <= bottom; y++)
        for (int x = left; x <= right; x++) {
            float px = (float)x - a->q.x, py = (float)y - a->q.y, w[3];
            w[1] = px * u_x + py * u_y;
            w[2] = px * v_x + py * v_y;
            w[0] = 1 - w[1] - w[2];
            if (w[0] < 0 || w[1] < 0 || w[2] < 0) continue;
            struct ds_sample *s = screen->samples + (size_t)y * (size_t)screen->side + (size_t)x;
            float depth = w[0] * a->q.z + w[1] * b->q.z + w[2] * c->q.z;
            if (depth > s->depth) put(s, v, w, depth, screen->part);
        }
}

void ds_mesh_raster(struct ds_sample *samples, int side, int density, const struct ds_mesh *mesh,
                    enum ds_part part)
{
    const struct screen screen = {samples, side, part};
    int columns = mesh->columns, rows = mesh->ring ? mesh->rows : mesh->rows - 1;
    /* Sample i is the picture's x = (i + 0.5) / density. */
    for (int i = 0; i < mesh->rows * columns; i++) {
        struct ds_vec *q = &mesh->vertex[i].q;
        q->x = q->x * (float)density - 0.5F;
        q->y = q->y * (float)density - 0.5F;
    }
    for (int i = 0; i < rows; i++) {
        const struct ds_vertex *low = mesh->vertex + i * columns;
        const struct ds_vertex *high = mesh->vertex + (i + 1 < mesh->rows ? i + 1 : 0) * columns;
        for (int j = 0; j < columns; j++) {
            int k = j + 1 < columns ? j + 1 : 0;
            triangle(&screen, low + j, low + k, high + k);
            triangle(&screen, low + j, high + k, high + j);
        }
    }
}
