/* Counts the instructions that an emulated program executes between two of its writes to standard output.
 *
 * A plugin for QEMU's user emulators, plugin interface 1 (QEMU 7.2 to 8.2, built to take plugins: Debian 12's qemu-user is).
 * QEMU's declarations are repeated here, as far as they are needed, because no package carries its header.
 *
 *     cc -O2 -shared -fPIC -o icount.so icount.c
 *     qemu-aarch64 -plugin ./icount.so,out=FILE,first=2,last=3 PROGRAM
 *
 * counts from the end of the 2nd call of write(1, ...) to the end of the 3rd, so that what a program does before it answers
 * (loading) does not count; without `first` from the program's start, without `last` to its end. FILE then holds
 *
 *     writes N                       how many such writes there were
 *     code ADDRESS                   where the program's first executable segment was loaded
 *     block ADDRESS TIMES NAME ...   for every block of instructions executed meanwhile: where it starts, how often it ran,
 *                                    and its instructions by name
 *
 * For programs of one thread: counters are not atomic. */

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint64_t qemu_plugin_id_t;
typedef struct {
    const char *target_name;
    struct {
        int min;
        int cur;
    } version;
} qemu_info_t; /* its first members */
struct qemu_plugin_tb;
struct qemu_plugin_insn;
enum { QEMU_PLUGIN_INLINE_ADD_U64 = 0 };

size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *block);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *block, size_t index);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *block);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *instruction);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *instruction);
char *qemu_plugin_insn_disas(const struct qemu_plugin_insn *instruction);
uint64_t qemu_plugin_start_code(void);
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id, void (*)(qemu_plugin_id_t, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *block, int operation, void *counter, uint64_t value);
void qemu_plugin_register_vcpu_syscall_ret_cb(qemu_plugin_id_t id, void (*)(qemu_plugin_id_t, unsigned, int64_t, int64_t));
void qemu_plugin_register_vcpu_syscall_cb(
    qemu_plugin_id_t id, void (*)(qemu_plugin_id_t, unsigned, int64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t,
                                  uint64_t, uint64_t));
void qemu_plugin_register_atexit_cb(qemu_plugin_id_t id, void (*)(qemu_plugin_id_t, void *), void *data);

#define EXPORT __attribute__((visibility("default")))
EXPORT int qemu_plugin_version = 1;

/* A translated block. QEMU may translate the same code several times; readers add up. */
struct block {
    uint64_t address;
    uint64_t times;  /* since the program started */
    uint64_t before; /* of these, before the counted stretch */
    uint64_t after;  /* and before its end */
    char *names;
    struct block *next;
};

static struct block *blocks;
static const char *out;
static long first, last, writes;
static int64_t write_number;
static bool writing, aarch64;

/* AArch64's dot products of bytes, which QEMU's disassembler does not know. */
static const char *dot_product(const struct qemu_plugin_insn *instruction)
{
    uint32_t word;
    if (!aarch64 || qemu_plugin_insn_size(instruction) != sizeof word)
        return NULL;
    memcpy(&word, qemu_plugin_insn_data(instruction), sizeof word);
    bool by_vector = (word & 0x9FE0FC00) == 0x0E809400, by_element = (word & 0x9FC0F400) == 0x0F80E000;
    if (!by_vector && !by_element)
        return NULL;
    return word & (1u << 29) ? "udot" : "sdot";
}

/* The first words of the instructions' disassembly, separated by spaces. */
static char *names_of(const struct qemu_plugin_tb *block)
{
    char *names = NULL;
    size_t length = 0;
    FILE *text = open_memstream(&names, &length);
    if (!text)
        abort();
    for (size_t i = 0; i < qemu_plugin_tb_n_insns(block); i++) {
        struct qemu_plugin_insn *instruction = qemu_plugin_tb_get_insn(block, i);
        const char *dot = dot_product(instruction);
        if (dot) {
            fprintf(text, " %s", dot);
            continue;
        }
        char *line = qemu_plugin_insn_disas(instruction);
        size_t word = line ? strcspn(line, " \t") : 0;
        fprintf(text, " %.*s", word ? (int)word : 1, word ? line : "?");
        free(line);
    }
    fclose(text);
    return names;
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
    (void)id;
    struct block *block = calloc(1, sizeof *block);
    if (!block)
        abort();
    block->address = qemu_plugin_tb_vaddr(tb);
    block->names = names_of(tb);
    block->next = blocks;
    blocks = block;
    qemu_plugin_register_vcpu_tb_exec_inline(tb, QEMU_PLUGIN_INLINE_ADD_U64, &block->times, 1);
}

static void called(qemu_plugin_id_t id, unsigned vcpu, int64_t number, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4,
                   uint64_t a5, uint64_t a6, uint64_t a7, uint64_t a8)
{
    (void)id, (void)vcpu, (void)a2, (void)a3, (void)a4, (void)a5, (void)a6, (void)a7, (void)a8;
    writing = number == write_number && a1 == 1;
}

static void returned(qemu_plugin_id_t id, unsigned vcpu, int64_t number, int64_t result)
{
    (void)id, (void)vcpu, (void)number, (void)result;
    if (!writing)
        return;
    writing = false;
    writes++;
    for (struct block *block = blocks; block; block = block->next) {
        if (writes == first)
            block->before = block->times;
        if (writes == last)
            block->after = block->times;
    }
}

static void ended(qemu_plugin_id_t id, void *data)
{
    (void)id, (void)data;
    FILE *file = fopen(out, "w");
    if (!file) {
        perror(out);
        return;
    }
    fprintf(file, "writes %ld\ncode %" PRIx64 "\n", writes, qemu_plugin_start_code());
    for (struct block *block = blocks; block; block = block->next) {
        uint64_t times = (last ? block->after : block->times) - block->before;
        if (times)
            fprintf(file, "block %" PRIx64 " %" PRIu64 "%s\n", block->address, times, block->names);
    }
    fclose(file);
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc, char **argv)
{
    for (int i = 0; i < argc; i++) {
        if (!strncmp(argv[i], "out=", 4))
            out = strdup(argv[i] + 4);
        else if (!strncmp(argv[i], "first=", 6))
            first = atol(argv[i] + 6);
        else if (!strncmp(argv[i], "last=", 5))
            last = atol(argv[i] + 5);
        else
            return fprintf(stderr, "icount: unknown option %s\n", argv[i]), 1;
    }
    aarch64 = !strcmp(info->target_name, "aarch64");
    if (!aarch64 && strcmp(info->target_name, "arm"))
        return fprintf(stderr, "icount: for qemu-aarch64 and qemu-arm, not for %s\n", info->target_name), 1;
    if (!out)
        return fputs("icount: out=FILE is needed\n", stderr), 1;
    write_number = aarch64 ? 64 : 4;
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_vcpu_syscall_cb(id, called);
    qemu_plugin_register_vcpu_syscall_ret_cb(id, returned);
    qemu_plugin_register_atexit_cb(id, ended, NULL);
    return 0;
}
