/* admin/loads.c -- GET /get_loads: what each engine says about its load, asked now (spec control-plane 15.2, 18.12)
 *
 * Always asked live, never answered from a poller's memory: who asks wants to know why requests wait now. The bounds are those of the fan-out. Workers of one
 * data-parallel engine share one question; each shows its own rank.
 */
#include "admin/fan.h"
#include "worker/loads.h"

static void write_row(struct json_writer *w, const struct fanout *f, const struct fanout_row *row)
{
    const struct worker_loads *l = f->targets[row->target].data;
    bool known = l && loads_have(l, row->rank);

    json_object(w);
    json_put_str(w, "worker", row->worker->spec.url);
    json_put_i64(w, "load", known ? loads_tokens(l, row->rank) : -1);
    if (known) {
        json_key(w, STR("details"));
        loads_write_json(w, l, row->rank);
    }
    json_end(w);
}

static void reply(struct fan *fan)
{
    struct buf out = { 0 };
    struct json_writer w;

    json_begin(&w, &out);
    json_object(&w);
    json_put_array(&w, "workers");
    for (size_t i = 0; i < fan->fanout->rows_n; i++)
        write_row(&w, fan->fanout, &fan->fanout->rows[i]);
    json_end(&w);
    json_end(&w);
    fan_reply(fan->ex, 200, TYPE_JSON, &out);
}

void admin_get_loads(struct exchange *ex, void *context)
{
    struct fan *fan = arena_new(&ex->arena, struct fan);
    struct fanout_ask ask = { .kind = FANOUT_ADMIN,
                              .all_ms = LOADS_ALL_MS,
                              .question_for = loads_question_for,
                              .answered = loads_answered,
                              .drop = loads_free };

    if (!fan) {
        admin_refuse_memory(ex);
        return;
    }
    fan->done = reply;
    fan_start(ex, context, fan, &ask);
}
