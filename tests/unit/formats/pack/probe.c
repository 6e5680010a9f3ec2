#include "tests/unit/formats/fixture.h"

#include <string.h>

#include "formats/pack/probe.h"

static uint8_t data[256 << 10];

static void random_bytes_are_not_worth_it(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 100; seed++) {
        fixture_random(seed, data, sizeof data);
        assert_false(probe_worthwhile(data, sizeof data));
        assert_false(probe_worthwhile(data, 64 << 10));
        assert_true(probe_worthwhile(data, (64 << 10) - 1)); /* too short to ask */
    }
}

static void text_and_zeroes_are(void **state)
{
    (void)state;
    fixture_text(1, data, sizeof data);
    assert_true(probe_worthwhile(data, sizeof data));
    memset(data, 0, sizeof data);
    assert_true(probe_worthwhile(data, sizeof data));
}

static void random_with_an_eighth_of_text_is(void **state)
{
    (void)state;
    fixture_random(2, data, sizeof data);
    fixture_text(2, data + 100000, sizeof data / 8);
    assert_true(probe_worthwhile(data, sizeof data));
}

static void random_that_repeats_is(void **state)
{
    (void)state;
    fixture_random(3, data, 5001);
    for (size_t i = 5001; i < sizeof data; i++)
        data[i] = data[i - 5001];
    assert_true(probe_worthwhile(data, sizeof data));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_bytes_are_not_worth_it),
        cmocka_unit_test(text_and_zeroes_are),
        cmocka_unit_test(random_with_an_eighth_of_text_is),
        cmocka_unit_test(random_that_repeats_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
