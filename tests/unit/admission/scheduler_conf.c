/* scheduler_conf.c -- the file of classes (spec operations 19): what it may say, and what is said about its mistakes */
#include "test.h"

#include <stdlib.h>
#include <unistd.h>

#include "admission/scheduler_conf.h"
#include "fail_alloc.h"

static int read_text(const char *text, struct scheduler_conf **ret, struct err *err)
{
    char path[] = "/tmp/smg-classes-XXXXXX";
    int fd = mkstemp(path), r;

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    r = scheduler_conf_read(str_of(path), CLASS_DEFAULT, ret, err);
    unlink(path);
    return r;
}

static void expect_defaults(const struct scheduler_conf *c)
{
    for (int i = 0; i < CLASSES; i++)
        assert_memory_equal(&c->classes[i], &SCHED_DEFAULTS[i], sizeof c->classes[i]);
    assert_int_equal(scheduler_conf_max_class(c, STR("auth:x")), CLASS_DEFAULT);
}

static void no_file_and_an_empty_one_are_the_defaults(void **state)
{
    static const char *const TEXTS[] = { "", "{}", "# nothing\n", "classes:\ntenant_policies:\n", "classes: {}" };
    struct scheduler_conf *c;

    (void)state;
    assert_int_equal(scheduler_conf_read(STR_NONE, CLASS_DEFAULT, &c, NULL), 0);
    expect_defaults(c);
    scheduler_conf_free(c);
    for (size_t i = 0; i < ARRAY_LEN(TEXTS); i++) {
        assert_int_equal(read_text(TEXTS[i], &c, NULL), 0);
        expect_defaults(c);
        scheduler_conf_free(c);
    }
}

#define REST "queue_size: 1, queue_timeout_secs: 2, starvation_threshold_secs: 3, can_preempt: true"

static void a_class_replaces_the_whole_of_it(void **state)
{
    struct scheduler_conf *c;

    (void)state;
    assert_int_equal(read_text("classes:\n  system: {reserved_floor: 5, " REST
                               "}\n  bulk: {reserved_floor: 0, reserved_per_slot: 0.5, " REST
                               "}\ntenant_policies:\n  \"auth:vip\": {max_class: system}\n  anonymous: {max_class: bulk}\n",
                               &c, NULL),
                     0);
    assert_true(c->classes[CLASS_SYSTEM].reserved_floor == 5 && c->classes[CLASS_SYSTEM].reserved_per_slot == 0);
    assert_true(c->classes[CLASS_SYSTEM].queue_timeout_s == 2 && c->classes[CLASS_SYSTEM].starvation_s == 3);
    assert_true(c->classes[CLASS_BULK].reserved_per_slot == 0.5 && c->classes[CLASS_BULK].can_preempt);
    assert_memory_equal(&c->classes[CLASS_DEFAULT], &SCHED_DEFAULTS[CLASS_DEFAULT], sizeof c->classes[0]);
    assert_int_equal(scheduler_conf_max_class(c, STR("auth:vip")), CLASS_SYSTEM);
    assert_int_equal(scheduler_conf_max_class(c, STR("anonymous")), CLASS_BULK);
    assert_int_equal(scheduler_conf_max_class(c, STR("auth:other")), CLASS_DEFAULT);
    scheduler_conf_free(c);
}

static void mistakes_are_named(void **state)
{
    static const struct {
        const char *text, *message;
    } ROWS[] = {
        { "classes: {batch: {}}", "classes: unknown field `batch`, expected one of `system`, `interactive`, `default`, `bulk`" },
        { "classs: {}", "unknown field `classs`" },
        { "classes: {bulk: {queue_size: 1}}", "classes.bulk: missing field `reserved_floor`" },
        { "classes: {bulk: {reserved_floor: 70000, " REST "}}",
          "classes.bulk.reserved_floor: invalid value: integer `70000`, expected u16" },
        { "classes: {bulk: {reserved_floor: 1, reserved_per_slot: -1, " REST "}}", "reserved_per_slot must be a finite number" },
        { "classes: {bulk: {reserved_floor: 1, colour: red, " REST "}}", "unknown field `colour`" },
        { "classes: {bulk: {reserved_floor: 1, queue_size: 1, queue_timeout_secs: 0, starvation_threshold_secs: 3, can_preempt: "
          "true}}",
          "queue_timeout_secs must be within 1" },
        { "classes: {bulk: {reserved_floor: 1, queue_size: 1, queue_timeout_secs: 1, starvation_threshold_secs: 0, can_preempt: "
          "true}}",
          "starvation_threshold_secs must be within 1" },
        { "tenant_policies: {a: {max_class: urgent}}", "tenant_policies.a: max_class: unknown variant `urgent`" },
        { "tenant_policies: {a: {}}", "tenant_policies.a: missing field `max_class`" },
        { "tenant_policies: [a]", "tenant_policies: a map of tenant keys is expected" },
        { "- a", "invalid type: sequence, expected struct SchedulerConfig" },
    };
    struct scheduler_conf *c;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        struct err err = { 0 };

        assert_int_equal(read_text(ROWS[i].text, &c, &err), ERR_INVALID);
        if (!strstr(err.message, ROWS[i].message) || !strstr(err.message, "/tmp/smg-classes-"))
            fail_msg("%s: got \"%s\"", ROWS[i].text, err.message);
    }
    assert_int_equal(scheduler_conf_read(STR("/nowhere/at-all"), CLASS_BULK, &c, NULL), ERR_NOT_FOUND);
}

static void keeps_its_promises_when_memory_runs_out(void **state)
{
    (void)state;
    FOR_EACH_FAILING_ALLOCATION(n)
    {
        struct scheduler_conf *c = NULL;
        int r = read_text("classes: {bulk: {reserved_floor: 1, " REST "}}\ntenant_policies: {a: {max_class: bulk}}\n", &c, NULL);

        assert_int_equal(r, fail_alloc_failed() ? ERR_NOMEM : 0);
        scheduler_conf_free(c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_file_and_an_empty_one_are_the_defaults),
        cmocka_unit_test(a_class_replaces_the_whole_of_it),
        cmocka_unit_test(mistakes_are_named),
        cmocka_unit_test(keeps_its_promises_when_memory_runs_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
