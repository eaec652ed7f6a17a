/* mock/audio.c -- POST /v1/audio/transcriptions: says how much it heard, at once */
#include "api/multipart.h"
#include "json/json_write.h"
#include "mock/engine.h"

void mock_transcriptions(struct exchange *ex, void *context)
{
    struct mock_engine *e = context;
    struct multipart *form = arena_new(&ex->arena, struct multipart);
    const struct multipart_part *file = NULL;
    struct err err = { 0 };
    struct str text;
    struct json_writer w;

    ENGINE_COUNT(e, requests, 1);
    if (form && multipart_read(ex->body, multipart_boundary(http_value(&ex->req.fields, HF_CONTENT_TYPE)), form, &err) == 0)
        file = multipart_find(form, STR("file"));
    if (!file) {
        ENGINE_COUNT(e, failed, 1);
        engine_error(e, ex, 400, err.message[0] ? err.message : "a form with a part `file` is expected");
        return;
    }
    text = arena_printf(&ex->arena, "%zu bytes of audio", file->data.n);
    buf_clear(&e->out);
    json_begin(&w, &e->out);
    json_object(&w);
    json_put_str(&w, "text", text);
    json_end(&w);
    ENGINE_COUNT(e, finished, 1);
    engine_reply_out(e, ex, TYPE_JSON);
}
