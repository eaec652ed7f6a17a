/* api/rerank.c -- from an engine's rerank reply to the gateway's (spec data-plane 5.7)
 *
 *   [{"score":0.9,"document":"d","index":0,"meta_info":{}}]  -->  {"results":[...],"model":M,"usage":null,"object":"rerank","id":RID,"created":T}
 *
 * Order stays the engine's; top_k cuts; documents go when the client does not want them. Scores are 32-bit floats, which is what engines compute.
 */
#include "api/keys.h"
#include "api/request.h"
#include "json/json_write.h"

/* One entry: false when it is not what an engine should send. */
static bool put_result(struct json_writer *w, const struct json_doc *doc, uint32_t entry, bool with_document)
{
    struct members m;
    uint32_t document, meta_info;
    uint64_t index;
    double score;

    if (node_type(doc, entry) != JSON_OBJECT)
        return false;
    members_read(doc, entry, &m);
    if (!member(&m, KEY_SCORE) || !member(&m, KEY_INDEX))
        return false;
    document = member(&m, KEY_DOCUMENT);
    meta_info = member(&m, KEY_META_INFO);
    if (json_to_double((struct json){ doc, m.at[KEY_SCORE] }, &score) < 0 ||
        json_to_u64((struct json){ doc, m.at[KEY_INDEX] }, &index) < 0 ||
        (document && node_type(doc, document) != JSON_STRING && node_type(doc, document) != JSON_OBJECT) ||
        (meta_info && node_type(doc, meta_info) != JSON_OBJECT))
        return false;

    json_object(w);
    json_put_f32(w, "score", (float)score);
    if (document && with_document)
        json_put_raw(w, "document", json_raw((struct json){ doc, document }));
    json_put_u64(w, "index", index);
    if (meta_info)
        json_put_raw(w, "meta_info", json_raw((struct json){ doc, meta_info }));
    json_end(w);
    return true;
}

int api_rerank_reply(const struct api_request *r, struct str model, uint64_t created_s, struct str worker_body, struct arena *arena,
                     struct buf *out)
{
    size_t before = out->n;
    uint64_t left = r->top_k ? r->top_k : UINT64_MAX;
    struct json_writer w;
    struct json_doc doc;
    int status;

    status = json_parse(worker_body, arena, &doc, NULL);
    if (status < 0)
        return status == ERR_NOMEM ? ERR_NOMEM : ERR_INVALID;
    if (node_type(&doc, 0) != JSON_ARRAY)
        return ERR_INVALID;

    json_begin(&w, out);
    json_object(&w);
    json_put_array(&w, "results");
    for (uint32_t i = element_first(0); i < element_end(&doc, 0) && left; i = element_next(&doc, i), left--)
        if (!put_result(&w, &doc, i, r->return_documents)) {
            out->n = before; /* nothing of a reply that is not sent */
            return ERR_INVALID;
        }
    json_end(&w);
    json_put_str(&w, "model", model);
    json_put_null(&w, "usage");
    json_put_str(&w, "object", STR("rerank"));
    json_put_raw(&w, "id", r->rid.n ? r->rid : STR("null"));
    json_put_u64(&w, "created", created_s);
    json_end(&w);
    return out->failed ? ERR_NOMEM : 0;
}
