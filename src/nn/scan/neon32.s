@ The inner loop of the family `neon32`; `neon32.rs` declares it and says why no sum overflows.

    .syntax unified
    .arm
    .fpu    neon
    .section .text.doorward_neon32_scan, "ax", %progbits

@ Adds the products of 32 bytes of a row and the probe's in q0 and q1 to \sum.
    .macro  ADD_ROW row, sum, low_a, high_a, low_b, high_b
    vld1.8  {\low_a, \high_a, \low_b, \high_b}, [\row]!
    vmull.s8 q2, \low_a, d0
    vmull.s8 q3, \low_b, d2
    vmlal.s8 q2, \high_a, d1
    vmlal.s8 q3, \high_b, d3
    vpadal.s16 \sum, q2
    vpadal.s16 \sum, q3
    .endm

@ r0: rows, r1: bytes from row to row, r2: probe, r3: its length; on the stack: where the sums go, how many fours of rows.
    .global doorward_neon32_dots
    .hidden doorward_neon32_dots
    .type   doorward_neon32_dots, %function
    .p2align 4
doorward_neon32_dots:
    push    {r4-r9, lr}
    ldr     r8, [sp, #28]
    ldr     r9, [sp, #32]
1:  add     r4, r0, r1
    add     r5, r4, r1
    add     r6, r5, r1
    mov     r7, r2
    mov     lr, r3
    vmov.i32 q8, #0
    vmov.i32 q9, #0
    vmov.i32 q10, #0
    vmov.i32 q11, #0
2:  vld1.8  {d0-d3}, [r7]!
    subs    lr, lr, #32
    ADD_ROW r0, q8, d24, d25, d26, d27
    ADD_ROW r4, q9, d28, d29, d30, d31
    ADD_ROW r5, q10, d24, d25, d26, d27
    ADD_ROW r6, q11, d28, d29, d30, d31
    bne     2b
    vpadd.i32 d0, d16, d17
    vpadd.i32 d1, d18, d19
    vpadd.i32 d2, d20, d21
    vpadd.i32 d3, d22, d23
    vpadd.i32 d0, d0, d1
    vpadd.i32 d1, d2, d3
    mov     r0, r6
    vst1.32 {d0-d1}, [r8]!
    subs    r9, r9, #1
    bne     1b
    pop     {r4-r9, pc}
    .size   doorward_neon32_dots, . - doorward_neon32_dots
