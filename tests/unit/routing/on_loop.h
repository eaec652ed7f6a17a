/* on_loop.h -- scenes that play inside a turn of a loop, where snapshots may be read */
#pragma once

#include "test.h"

#include "loop/loop.h"

static struct loop *loop;

typedef void scene_fn(void);
static struct message curtain;
static scene_fn *scene;
static void (*after_scene)(void); /* stops what runs on the loop; may be NULL */

static inline void play(struct loop *l, struct message *m)
{
    scene();
    if (after_scene)
        after_scene();
    loop_stop(l);
}

static inline void on_stage(void **state)
{
    scene = *(scene_fn **)*state;
    curtain.run = play;
    loop_post(loop, &curtain);
    loop_run(loop);
}

/* A row of the table of tests. */
#define SCENE(fn, set_up, tear_down)                               \
    {                                                              \
#fn, on_stage, set_up, tear_down, (void *)&(scene_fn *[1]) \
        {                                                          \
            fn                                                     \
        }                                                          \
    }
