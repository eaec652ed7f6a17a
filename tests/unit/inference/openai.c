/* openai.c -- each endpoint's route on the worker */
#include "scene.h"

static void every_endpoint_has_its_route_on_the_worker(void **state)
{
    static const struct {
        const char *path, *body, *on_worker;
    } ROWS[] = {
        { "/v1/chat/completions", CHAT_BODY, "/v1/chat/completions" },
        { "/v1/completions", "{\"model\":\"m\",\"prompt\":\"x\"}", "/v1/completions" },
        { "/generate", "{\"model\":\"m\",\"text\":\"x\"}", "/generate" },
        { "/v1/embeddings", "{\"model\":\"m\",\"input\":\"x\"}", "/v1/embeddings" },
        { "/v1/classify", "{\"model\":\"m\",\"input\":\"x\"}", "/v1/classify" },
        { "/v1/messages", "{\"model\":\"m\",\"max_tokens\":5,\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}",
          "/v1/messages" },
        { "/v1/responses", "{\"model\":\"m\",\"input\":\"x\"}", "/v1/responses" },
        { "/rerank", "{\"model\":\"m\",\"query\":\"q\",\"documents\":[\"d\"]}", "/v1/rerank" },
        { "/v1/rerank", "{\"query\":\"q\",\"documents\":[\"d\"]}", "/v1/rerank" },
    };

    OPEN(UP);
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        char want[128];
        int client = post(ROWS[i].path, ROWS[i].body), e = engine_hear(0);

        snprintf(want, sizeof want, "POST %s HTTP/1.1\r\n", ROWS[i].on_worker);
        assert_heard(want);
        assert_string_equal(strstr(heard, "\r\n\r\n") + 4, ROWS[i].body);
        reply_with_length(e, "200 OK", "content-type: application/json\r\n", "[]");
        hear_all(client);
        assert_status(200);
        close(e);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { RULE(every_endpoint_has_its_route_on_the_worker) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
