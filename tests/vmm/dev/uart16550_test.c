/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "lib/state/state.h"
#include "tests/vmm/dev/rig.h"
#include "vmm/backend/chardev.h"
#include "vmm/backend/chardev_type.h"
#include "vmm/dev/uart16550.h"

#define MS INT64_C(1000000)

enum { DATA, IER, IIR, LCR, MCR, LSR, MSR, SCR, FCR = IIR };
enum { DR = 1, OE = 2, BI = 0x10, THRE = 0x20, TEMT = 0x40 };

struct fixture {
    struct rig *rig;
    struct config_chardev config;
    struct chardev *chardev;
    struct ferry_part part;
    int peer; /* the other end of the line */
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct chardev_params params = {.config = &f->config};
    struct ferry_err err = {0};
    int fds[2];

    signal(SIGPIPE, SIG_IGN);
    f->rig = rig_new(&uart16550_type, 1);
    f->config = (struct config_chardev){.id = (char *)(uintptr_t) "serial0",
                                        .type = CONFIG_CHARDEV_SOCKET,
                                        .path = (char *)(uintptr_t) "/nowhere"};
    params.loop = f->rig->loop;
    assert_int_equal(chardev_new(&f->chardev, &params, &err), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
    f->peer = fds[1];
    f->part = chardev_part(f->chardev);
    assert_int_equal(f->part.ops->adopt(f->part.obj, "serial0/client", &fds[0], &err), 0);
    assert_int_equal(uart16550_connect(f->rig->dev, f->chardev, &err), 0);
    f->part.ops->resume(f->part.obj);
    guest_clock_start(f->rig->clock);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    /* The device lets go of the chardev before that goes; the loop goes last. */
    dev_free(f->rig->dev);
    f->rig->dev = NULL;
    chardev_free(f->chardev);
    rig_run_for(f->rig, 0); /* messages that hold the chardev */
    rig_free(f->rig);
    if (f->peer >= 0)
        close(f->peer);
    free(f);
    return 0;
}

static uint8_t rd(struct fixture *f, uint64_t reg)
{
    return (uint8_t)rig_read(f->rig, reg, 1);
}

static void wr(struct fixture *f, uint64_t reg, uint8_t value)
{
    rig_write(f->rig, reg, 1, value);
}

static bool interrupted(struct fixture *f)
{
    return f->rig->level[0];
}

static void type_text(struct fixture *f, const char *text)
{
    assert_int_equal(write(f->peer, text, strlen(text)), strlen(text));
    rig_run_for(f->rig, 2 * MS);
}

static void registers_after_power_on(void **state)
{
    struct fixture *f = *state;
    const uint8_t expected[] = {0, 0, 0x01, 0, 0x08, 0x60, 0xb0, 0};

    for (unsigned reg = 0; reg < 8; reg++)
        assert_int_equal(rd(f, reg), expected[reg]);
    wr(f, LCR, 0x80);
    assert_int_equal(rd(f, 0), 0x0c);
    assert_int_equal(rd(f, 1), 0);
    assert_false(interrupted(f));
}

static void registers_keep_what_they_can(void **state)
{
    struct fixture *f = *state;

    wr(f, IER, 0xff);
    assert_int_equal(rd(f, IER), 0x0f);
    wr(f, MCR, 0xff);
    assert_int_equal(rd(f, MCR), 0x1f);
    wr(f, LCR, 0x9b);
    wr(f, 0, 0x34);
    wr(f, 1, 0x12);
    assert_int_equal(rd(f, LCR), 0x9b);
    assert_int_equal(rd(f, 0), 0x34);
    assert_int_equal(rd(f, 1), 0x12);
    wr(f, LCR, 0x1b);
    assert_int_equal(rd(f, IER), 0x0f);
    wr(f, SCR, 0xa5);
    assert_int_equal(rd(f, SCR), 0xa5);
    /* Wider accesses are byte accesses; the rest reads 0. */
    assert_int_equal(rig_read(f->rig, 4, 4), 0x1f);
    rig_write(f->rig, SCR, 1, 0);
    rig_write(f->rig, 6, 2, 0x5a00);
    assert_int_equal(rd(f, SCR), 0);
}

static void a_byte_sent_arrives_and_the_transmitter_is_empty(void **state)
{
    struct fixture *f = *state;
    char c = 0;

    wr(f, DATA, 'A');
    assert_int_equal(read(f->peer, &c, 1), 1);
    assert_int_equal(c, 'A');
    assert_int_equal(rd(f, LSR), THRE | TEMT);
}

static void thre_interrupts_until_seen(void **state)
{
    struct fixture *f = *state;

    wr(f, IER, 0x02); /* the register is empty: at once */
    assert_true(interrupted(f));
    assert_int_equal(rd(f, IIR), 0x02);
    assert_false(interrupted(f));
    assert_int_equal(rd(f, IIR), 0x01);
    wr(f, DATA, 'A');
    assert_true(interrupted(f));
    assert_int_equal(rd(f, IIR), 0x02);
    assert_false(interrupted(f));
}

static void a_received_byte_interrupts_until_read(void **state)
{
    struct fixture *f = *state;

    wr(f, IER, 0x01);
    type_text(f, "xy");
    assert_true(interrupted(f));
    assert_int_equal(rd(f, IIR), 0x04);
    assert_int_equal(rd(f, LSR), THRE | TEMT | DR);
    assert_int_equal(rd(f, DATA), 'x');
    assert_false(interrupted(f));
    assert_int_equal(rd(f, LSR) & DR, 0);
    rig_run_for(f->rig, 2 * MS); /* the second waited in the chardev */
    assert_int_equal(rd(f, DATA), 'y');
}

/* With and without FIFOs: a byte of zeros that LSR says is none, told once. */
static void a_break_is_told_with_its_byte(void **state)
{
    struct fixture *f = *state;

    for (uint8_t fifos = 0; fifos < 2; fifos++) {
        wr(f, FCR, fifos);
        wr(f, IER, 0x04);
        chardev_tell(f->chardev, CHARDEV_BREAK);
        assert_true(interrupted(f));
        assert_int_equal(rd(f, IIR) & 0x0f, 0x06);
        assert_int_equal(rd(f, LSR) & (BI | DR), BI | DR);
        assert_false(interrupted(f));
        assert_int_equal(rd(f, LSR) & (BI | DR), DR);
        assert_int_equal(rd(f, DATA), 0);
        assert_int_equal(rd(f, LSR) & DR, 0);
    }
    /* In loopback nothing comes from outside; and a line that opens or closes is no break. */
    wr(f, MCR, 0x10);
    chardev_tell(f->chardev, CHARDEV_BREAK);
    wr(f, MCR, 0);
    chardev_tell(f->chardev, CHARDEV_OPENED);
    assert_int_equal(rd(f, LSR) & (BI | DR), 0);
}

static void a_full_fifo_leaves_the_rest_in_the_chardev(void **state)
{
    struct fixture *f = *state;
    char got[41] = "";

    wr(f, FCR, 0x01);
    assert_int_equal(rd(f, IIR), 0xc1);
    type_text(f, "0123456789abcdefghijklmnopqrstuvwxyz....");
    for (int i = 0; i < 40; i++) {
        while (!(rd(f, LSR) & DR))
            rig_run_for(f->rig, MS);
        assert_int_equal(rd(f, LSR) & OE, 0);
        got[i] = (char)rd(f, DATA);
    }
    assert_string_equal(got, "0123456789abcdefghijklmnopqrstuvwxyz....");
}

static void the_fifo_interrupts_at_its_trigger_or_after_a_while(void **state)
{
    struct fixture *f = *state;

    wr(f, LCR, 0x80);
    wr(f, 0, 200); /* 4 characters of 10 bits: 20 ms */
    wr(f, 1, 0);
    wr(f, LCR, 0x03);
    wr(f, FCR, 0x81); /* trigger at 8 */
    wr(f, IER, 0x01);
    type_text(f, "1234567");
    assert_false(interrupted(f));
    type_text(f, "8");
    assert_true(interrupted(f));
    assert_int_equal(rd(f, IIR), 0xc4);
    assert_int_equal(rd(f, DATA), '1');
    assert_false(interrupted(f));
    rig_run_for(f->rig, 40 * MS);
    assert_true(interrupted(f));
    assert_int_equal(rd(f, IIR), 0xcc);
    assert_int_equal(rd(f, DATA), '2');
    assert_false(interrupted(f));
    wr(f, FCR, 0x83); /* emptied: no time-out comes any more */
    assert_int_equal(rd(f, LSR) & DR, 0);
    rig_run_for(f->rig, 40 * MS);
    assert_false(interrupted(f));
    type_text(f, "x");
    rig_run_for(f->rig, 40 * MS);
    assert_true(interrupted(f));
    wr(f, FCR, 0x83); /* nor stays one that has come */
    assert_false(interrupted(f));
}

static void switching_the_fifos_empties_them(void **state)
{
    struct fixture *f = *state;

    wr(f, FCR, 0x01);
    type_text(f, "abc");
    assert_int_equal(rd(f, LSR) & DR, DR);
    wr(f, FCR, 0x00);
    assert_int_equal(rd(f, LSR) & DR, 0);
    assert_int_equal(rd(f, IIR), 0x01);
}

static void loopback_returns_bytes_and_modem_lines(void **state)
{
    struct fixture *f = *state;
    char c;

    wr(f, MCR, 0x1a); /* loop, OUT2, RTS */
    assert_int_equal(rd(f, MSR) & 0xf0, 0x90);
    wr(f, MCR, 0x15); /* loop, OUT1, DTR */
    assert_int_equal(rd(f, MSR) & 0xf0, 0x60);
    wr(f, DATA, 'L');
    assert_int_equal(read(f->peer, &c, 1), -1);
    assert_int_equal(rd(f, DATA), 'L');
    /* Overrun: the newer byte wins without FIFOs, and reading LSR clears the error. */
    wr(f, IER, 0x04);
    wr(f, DATA, '1');
    wr(f, DATA, '2');
    assert_true(interrupted(f));
    assert_int_equal(rd(f, IIR), 0x06);
    assert_int_equal(rd(f, LSR) & (OE | DR), OE | DR);
    assert_int_equal(rd(f, LSR) & OE, 0);
    assert_false(interrupted(f));
    assert_int_equal(rd(f, DATA), '2');
    type_text(f, "z"); /* from outside nothing comes in */
    assert_int_equal(rd(f, LSR) & DR, 0);
    wr(f, MCR, 0);
    rig_run_for(f->rig, 2 * MS);
    assert_int_equal(rd(f, DATA), 'z');
}

static void an_overrun_fifo_keeps_what_it_has(void **state)
{
    struct fixture *f = *state;

    wr(f, FCR, 0x01);
    wr(f, MCR, 0x10);
    for (char c = 'a'; c < 'a' + 17; c++)
        wr(f, DATA, (uint8_t)c);
    assert_int_equal(rd(f, LSR) & OE, OE);
    for (char c = 'a'; c < 'a' + 16; c++)
        assert_int_equal(rd(f, DATA), c);
    assert_int_equal(rd(f, LSR) & DR, 0);
}

/* Write until the socket takes no more; returns how many bytes went in. */
static int fill_the_line(struct fixture *f)
{
    int n = 0;

    while (rd(f, LSR) & TEMT) {
        wr(f, DATA, (uint8_t)n++);
        assert_true(n < 10000000);
    }
    return n;
}

static void a_line_that_takes_no_more_shows_and_resumes(void **state)
{
    struct fixture *f = *state;
    int sent, got = 0;
    uint8_t c;

    wr(f, FCR, 0x01);
    sent = fill_the_line(f);
    assert_int_equal(rd(f, LSR) & THRE, THRE); /* stuck in the shift register only */
    wr(f, DATA, (uint8_t)sent++);
    assert_int_equal(rd(f, LSR) & (THRE | TEMT), 0);
    while (got < sent) {
        if (read(f->peer, &c, 1) == 1)
            assert_int_equal(c, (uint8_t)got++);
        else
            rig_run_for(f->rig, MS);
    }
    assert_int_equal(rd(f, LSR) & (THRE | TEMT), THRE | TEMT);
}

static void reset_is_power_on(void **state)
{
    struct fixture *f = *state;

    wr(f, FCR, 0xc1);
    wr(f, IER, 0x03);
    type_text(f, "abc");
    f->rig->dev->type->reset(f->rig->dev);
    registers_after_power_on(state);
}

/* --- Saved state ---------------------------------------------------------------------------- */

static struct rig_contract rig_contract = {.type = &uart16550_type, .hart_count = 1};

static struct contract_case contract_case(void (*stir)(void *obj))
{
    return (struct contract_case){
        .table = uart16550_type.table,
        .obj_bytes = uart16550_type.size_bytes,
        .make = rig_make_dev,
        .stir = stir,
        .destroy = rig_destroy_dev,
        .arg = &rig_contract,
    };
}

/* Received bytes with a running time-out, and a THRE interrupt behind a more urgent one. */
static void stir_receiver(void *obj)
{
    struct rig *r = rig_of(obj);

    rig_write(r, FCR, 1, 0x81);
    rig_write(r, IER, 1, 0x03);
    rig_write(r, MCR, 1, 0x10);
    for (int i = 0; i < 9; i++)
        rig_write(r, DATA, 1, 'a' + (unsigned)i);
}

static void saved_state_keeps_the_contract(void **state)
{
    struct contract_case c = contract_case(stir_receiver);

    contract_run(&c);
}

static struct fixture *move_from;

/* The state of the fixture's UART, loaded, so that a transmitter stuck on a full line is there. */
static void stir_transmitter(void *obj)
{
    struct buf bytes = {0};
    struct ferry_err err = {0};
    struct rd in;

    assert_int_equal(state_save(uart16550_type.table, move_from->rig->dev, &bytes, NULL, &err), 0);
    in = rd_make(bytes.data, bytes.len_bytes);
    assert_int_equal(state_load(uart16550_type.table, obj, uart16550_type.size_bytes, 3, &in, &err),
                     0);
    buf_free(&bytes);
}

static void a_stuck_transmitter_keeps_the_contract(void **state)
{
    struct contract_case c = contract_case(stir_transmitter);

    move_from = *state;
    wr(move_from, FCR, 0x01);
    fill_the_line(move_from);
    for (int i = 0; i < 5; i++)
        wr(move_from, DATA, 'x');
    contract_run(&c);
}

/* Offsets of registers in the state, after the divider: rbr ier iir lcr mcr lsr msr scr fcr. */
enum { AT_LSR = 2 + 5, AT_FCR = 2 + 8 };

static void refused(size_t at, uint8_t value, const char *text)
{
    struct rig *r = rig_new(&uart16550_type, 1);
    struct buf bytes = {0};
    struct ferry_err err = {0};
    struct rd in;

    assert_int_equal(state_save(uart16550_type.table, r->dev, &bytes, NULL, &err), 0);
    bytes.data[at] = value;
    in = rd_make(bytes.data, bytes.len_bytes);
    assert_int_not_equal(
        state_load(uart16550_type.table, r->dev, uart16550_type.size_bytes, 3, &in, &err), 0);
    if (!strstr(err.text, text))
        fail_msg("\"%s\" does not say \"%s\"", err.text, text);
    buf_free(&bytes);
    rig_free(r);
}

static void contradictions_are_refused(void **state)
{
    refused(AT_LSR, 0x20, "LSR.TEMT is 0");
    refused(AT_LSR, 0x40, "LSR.THRE is 0");
    refused(AT_FCR, 0x06, "fcr");
}

/* Received bytes and a due interrupt go along; so does what waits to be sent. */
static void a_move_loses_no_byte(void **state)
{
    struct fixture *f = *state;
    struct rig *to = rig_new(&uart16550_type, 1);
    struct buf bytes = {0};
    struct ferry_err err = {0};
    struct rd in;

    wr(f, FCR, 0x41); /* trigger at 4 */
    wr(f, IER, 0x01);
    type_text(f, "abcde");
    assert_int_equal(rd(f, DATA), 'a');
    assert_int_equal(state_save(uart16550_type.table, f->rig->dev, &bytes, NULL, &err), 0);
    in = rd_make(bytes.data, bytes.len_bytes);
    assert_int_equal(
        state_load(uart16550_type.table, to->dev, uart16550_type.size_bytes, 3, &in, &err), 0);
    assert_true(to->level[0]);
    assert_int_equal(rig_read(to, IIR, 1), 0xc4);
    for (char expected = 'b'; expected <= 'e'; expected++)
        assert_int_equal(rig_read(to, DATA, 1), expected);
    assert_false(to->level[0]);
    buf_free(&bytes);
    rig_free(to);
}

/* That THRE is the cause is told by IIR alone then. */
static void a_move_loses_no_thre_interrupt(void **state)
{
    struct fixture *f = *state;
    struct rig *to = rig_new(&uart16550_type, 1);
    struct buf bytes = {0};
    struct ferry_err err = {0};
    struct rd in;

    wr(f, IER, 0x02);
    assert_int_equal(state_save(uart16550_type.table, f->rig->dev, &bytes, NULL, &err), 0);
    assert_int_equal(bytes.len_bytes, 11);
    in = rd_make(bytes.data, bytes.len_bytes);
    assert_int_equal(
        state_load(uart16550_type.table, to->dev, uart16550_type.size_bytes, 3, &in, &err), 0);
    assert_true(to->level[0]);
    assert_int_equal(rig_read(to, IIR, 1), 0x02);
    assert_false(to->level[0]);
    buf_free(&bytes);
    rig_free(to);
}

#define IN_FIXTURE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FIXTURE(registers_after_power_on),
        IN_FIXTURE(registers_keep_what_they_can),
        IN_FIXTURE(a_byte_sent_arrives_and_the_transmitter_is_empty),
        IN_FIXTURE(thre_interrupts_until_seen),
        IN_FIXTURE(a_received_byte_interrupts_until_read),
        IN_FIXTURE(a_break_is_told_with_its_byte),
        IN_FIXTURE(a_full_fifo_leaves_the_rest_in_the_chardev),
        IN_FIXTURE(the_fifo_interrupts_at_its_trigger_or_after_a_while),
        IN_FIXTURE(switching_the_fifos_empties_them),
        IN_FIXTURE(loopback_returns_bytes_and_modem_lines),
        IN_FIXTURE(an_overrun_fifo_keeps_what_it_has),
        IN_FIXTURE(a_line_that_takes_no_more_shows_and_resumes),
        IN_FIXTURE(reset_is_power_on),
        cmocka_unit_test(saved_state_keeps_the_contract),
        IN_FIXTURE(a_stuck_transmitter_keeps_the_contract),
        cmocka_unit_test(contradictions_are_refused),
        IN_FIXTURE(a_move_loses_no_byte),
        IN_FIXTURE(a_move_loses_no_thre_interrupt),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
