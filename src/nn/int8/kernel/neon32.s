@ The inner loops of the family `neon32`; `neon32.rs` declares them and says why no sum overflows.
@
@ Both functions take a pointer to a `Tiles` in r0 and work through tiles of two rows (pixels) by 16 lanes (channels): sums in
@ q8-q11 (first row) and q12-q15 (second). What follows the sums is common to both.

    .syntax unified
    .arm
    .fpu    neon
    .section .text.doorward_neon32, "ax", %progbits

@ Offsets in `Tiles`; checked in neon32.rs.
    .equ    WEIGHTS, 0
    .equ    ORDER, 4
    .equ    INPUT, 8
    .equ    OUTPUT, 12
    .equ    RESIDUAL, 16
    .equ    STEP, 20
    .equ    COUNT, 24
    .equ    TAPS, 28
    .equ    START, 32
    .equ    MULTIPLIER, 36
    .equ    BIAS, 40
    .equ    SLOPES, 44
    .equ    SHIFT, 48
    .equ    STAGES, 52
    .equ    ROUND, 56
    .equ    EXCESS, 60
    .equ    RESIDUAL_MULTIPLIER, 64
    .equ    RESIDUAL_ZERO, 68
    .equ    LOW, 69
    .equ    HIGH, 70

@ Bits of `stages`.
    .equ    LEAK_BEFORE, 1
    .equ    ADD_RESIDUAL, 2
    .equ    LEAK_AFTER, 4
    .equ    ADD_SHIFT, 8
    .equ    LIMIT, 16
    .equ    SUMS_ONLY, 32

@ r4, r5: where the rows go; r6, r7: the residual's rows; r8: tiles; r9: bytes from row to row; r11: stages.
    .macro  ENTER
    push    {r4-r11, lr}
    vpush   {d8-d15}
    ldr     r3, [r0, #INPUT]
    ldr     r4, [r0, #OUTPUT]
    ldr     r6, [r0, #RESIDUAL]
    ldr     r8, [r0, #COUNT]
    ldr     r9, [r0, #STEP]
    ldr     r11, [r0, #STAGES]
    add     r5, r4, r9
    add     r7, r6, r9
    .endm

    .macro  LEAVE
    vpop    {d8-d15}
    pop     {r4-r11, pc}
    .endm

@ Both rows' sums begin with the lanes' starts.
    .macro  BEGIN
    ldr     r10, [r0, #START]
    vld1.32 {d16-d19}, [r10]!
    vld1.32 {d20-d23}, [r10]
    vmov    q12, q8
    vmov    q13, q9
    vmov    q14, q10
    vmov    q15, q11
    .endm

    .macro  ALL op, a, b, c, d
    \op     q8, q8, \a
    \op     q9, q9, \b
    \op     q10, q10, \c
    \op     q11, q11, \d
    \op     q12, q12, \a
    \op     q13, q13, \b
    \op     q14, q14, \c
    \op     q15, q15, \d
    .endm

@ One value a lane, from q0 to q3.
    .macro  LANES from
    ldr     r10, [r0, #\from]
    vld1.32 {d0-d3}, [r10]!
    vld1.32 {d4-d7}, [r10]
    .endm

@ max(v, 0) + min(v, 0) * slope: one of the terms is zero, so that only the product is rounded. q4 is zero.
    .macro  LEAK_TWO a, b, slope_a, slope_b
    vmin.f32 q5, \a, q4
    vmin.f32 q6, \b, q4
    vmax.f32 \a, \a, q4
    vmax.f32 \b, \b, q4
    vmla.f32 \a, q5, \slope_a
    vmla.f32 \b, q6, \slope_b
    .endm

    .macro  LEAK
    LANES   SLOPES
    vmov.i32 q4, #0
    LEAK_TWO q8, q9, q0, q1
    LEAK_TWO q10, q11, q2, q3
    LEAK_TWO q12, q13, q0, q1
    LEAK_TWO q14, q15, q2, q3
    .endm

@ Eight residual bytes \bytes onto \a and \b; the zero in d6, the scale in d7[0].
    .macro  RESIDUE bytes, a, b
    vsubl.u8 q4, \bytes, d6
    vmovl.s16 q5, d8
    vmovl.s16 q6, d9
    vcvt.f32.s32 q5, q5
    vcvt.f32.s32 q6, q6
    vmul.f32 q5, q5, d7[0]
    vmul.f32 q6, q6, d7[0]
    vadd.f32 \a, \a, q5
    vadd.f32 \b, \b, q6
    .endm

@ From sums to stored bytes, as `Epilogue` has it; then the next tile's places.
    .macro  FINISH
    tst     r11, #SUMS_ONLY
    bne     90f
    LANES   MULTIPLIER
    vcvt.f32.s32 q8, q8
    vcvt.f32.s32 q9, q9
    vcvt.f32.s32 q10, q10
    vcvt.f32.s32 q11, q11
    vcvt.f32.s32 q12, q12
    vcvt.f32.s32 q13, q13
    vcvt.f32.s32 q14, q14
    vcvt.f32.s32 q15, q15
    ALL     vmul.f32, q0, q1, q2, q3
    LANES   BIAS
    ALL     vadd.f32, q0, q1, q2, q3
    tst     r11, #LEAK_BEFORE
    beq     81f
    LEAK
81: tst     r11, #ADD_RESIDUAL
    beq     82f
    vld1.8  {d0-d1}, [r6]
    vld1.8  {d2-d3}, [r7]
    add     r10, r0, #RESIDUAL_ZERO
    vld1.8  {d6[]}, [r10]
    vldr    s14, [r0, #RESIDUAL_MULTIPLIER]
    RESIDUE d0, q8, q9
    RESIDUE d1, q10, q11
    RESIDUE d2, q12, q13
    RESIDUE d3, q14, q15
82: tst     r11, #LEAK_AFTER
    beq     83f
    LEAK
83: tst     r11, #ADD_SHIFT
    beq     84f
    LANES   SHIFT
    ALL     vadd.f32, q0, q1, q2, q3
84: add     r10, r0, #ROUND
    vld1.32 {d0[], d1[]}, [r10]!
    vld1.32 {d2[], d3[]}, [r10]
    ALL     vadd.f32, q0, q0, q0, q0
    ALL     vqsub.s32, q1, q1, q1, q1
    vqmovun.s32 d16, q8
    vqmovun.s32 d17, q9
    vqmovun.s32 d18, q10
    vqmovun.s32 d19, q11
    vqmovun.s32 d24, q12
    vqmovun.s32 d25, q13
    vqmovun.s32 d26, q14
    vqmovun.s32 d27, q15
    vqmovn.u16 d16, q8
    vqmovn.u16 d17, q9
    vqmovn.u16 d24, q12
    vqmovn.u16 d25, q13
    tst     r11, #LIMIT
    beq     85f
    add     r10, r0, #LOW
    vld1.8  {d0[], d1[]}, [r10]!
    vld1.8  {d2[], d3[]}, [r10]
    vmax.u8 q8, q8, q0
    vmax.u8 q12, q12, q0
    vmin.u8 q8, q8, q1
    vmin.u8 q12, q12, q1
85: vst1.8  {d24-d25}, [r5]
    vst1.8  {d16-d17}, [r4]
    add     r4, r4, r9, lsl #1
    add     r5, r5, r9, lsl #1
    add     r6, r6, r9, lsl #1
    add     r7, r7, r9, lsl #1
    b       91f
90: vst1.32 {d16-d19}, [r4]!
    vst1.32 {d20-d23}, [r4]!
    vst1.32 {d24-d27}, [r4]!
    vst1.32 {d28-d31}, [r4]!
91:
    .endm

@ A group of eight inputs: the first row's pairs in d0-d3, the second's in d4-d7; weights of four lanes in d8-d11.
    .macro  GROUP step
    vld1.8  {d8-d11}, [r2:256]!
    vld1.8  {d0-d3}, [r3:256]!
    vld1.8  {d4-d7}, [r3:256]!
    \step   q8, q12, 1
    \step   q9, q13, 1
    \step   q10, q14, 1
    \step   q11, q15, 0
    ldrb    r10, [r1], #1
    cmp     r10, #1
    .endm

@ The next lanes' weights are asked for as soon as their registers are free.
    .macro  WEIGHTS_IF more
    .if     \more
    vld1.8  {d8-d11}, [r2:256]!
    .endif
    .endm

@ Two products in 16 bits, twice.
    .macro  PAIRS first, second, more
    vmull.s8 q6, d0, d8
    vmull.s8 q7, d4, d8
    vmlal.s8 q6, d1, d9
    vmlal.s8 q7, d5, d9
    vpadal.s16 \first, q6
    vpadal.s16 \second, q7
    vmull.s8 q6, d2, d10
    vmull.s8 q7, d6, d10
    vmlal.s8 q6, d3, d11
    vmlal.s8 q7, d7, d11
    WEIGHTS_IF \more
    vpadal.s16 \first, q6
    vpadal.s16 \second, q7
    .endm

@ Four products in 16 bits.
    .macro  FOURS first, second, more
    vmull.s8 q6, d0, d8
    vmull.s8 q7, d4, d8
    vmlal.s8 q6, d1, d9
    vmlal.s8 q7, d5, d9
    vmlal.s8 q6, d2, d10
    vmlal.s8 q7, d6, d10
    vmlal.s8 q6, d3, d11
    vmlal.s8 q7, d7, d11
    WEIGHTS_IF \more
    vpadal.s16 \first, q6
    vpadal.s16 \second, q7
    .endm

@ Rows times one panel. `order` holds, group by group, 0 for pairs, 1 for fours, and 2 behind the last.
    .global doorward_neon32_dense
    .hidden doorward_neon32_dense
    .type   doorward_neon32_dense, %function
    .p2align 4
doorward_neon32_dense:
    ENTER
1:  BEGIN
    ldr     r1, [r0, #ORDER]
    ldr     r2, [r0, #WEIGHTS]
    ldrb    r10, [r1], #1
    cmp     r10, #1
    beq     3f
    bhi     4f
2:  GROUP   PAIRS
    blo     2b
    bhi     4f
3:  GROUP   FOURS
    beq     3b
    blo     2b
4:  FINISH
    subs    r8, r8, #1
    bne     1b
    LEAVE
    .size   doorward_neon32_dense, . - doorward_neon32_dense

@ Sixteen channels of a row of pixels. `order` holds where every tap's input lies, as counted from the pixel's.
    .global doorward_neon32_depthwise
    .hidden doorward_neon32_depthwise
    .type   doorward_neon32_depthwise, %function
    .p2align 4
doorward_neon32_depthwise:
    ENTER
    ldr     r12, [r0, #TAPS]
1:  BEGIN
    ldr     r1, [r0, #ORDER]
    ldr     r2, [r0, #WEIGHTS]
    lsrs    lr, r12, #1
    beq     3f
@ Two taps: the products of both fit 16 bits. From bytes in excess of 128 to signed ones: the highest bit is turned over.
2:  ldr     r10, [r1], #4
    vmov.i8 q7, #128
    add     r10, r10, r3
    vld1.8  {d8-d11}, [r2:128]!
    vld1.8  {d0-d1}, [r10], r9
    vld1.8  {d2-d3}, [r10]
    ldr     r10, [r1], #4
    veor    q0, q0, q7
    add     r10, r10, r3
    veor    q1, q1, q7
    vld1.8  {d4-d5}, [r10], r9
    vld1.8  {d6-d7}, [r10]
    subs    lr, lr, #1
    veor    q2, q2, q7
    veor    q3, q3, q7
    vmull.s8 q6, d0, d8
    vmull.s8 q7, d2, d8
    vmlal.s8 q6, d4, d10
    vmlal.s8 q7, d6, d10
    vmull.s8 q0, d1, d9
    vmull.s8 q1, d3, d9
    vaddw.s16 q8, q8, d12
    vaddw.s16 q9, q9, d13
    vmlal.s8 q0, d5, d11
    vmlal.s8 q1, d7, d11
    vaddw.s16 q12, q12, d14
    vaddw.s16 q13, q13, d15
    vaddw.s16 q10, q10, d0
    vaddw.s16 q11, q11, d1
    vaddw.s16 q14, q14, d2
    vaddw.s16 q15, q15, d3
    bne     2b
3:  tst     r12, #1
    beq     4f
@ The last of an odd number of taps.
    ldr     r10, [r1]
    vmov.i8 q7, #128
    add     r10, r10, r3
    vld1.8  {d8-d9}, [r2:128]
    vld1.8  {d0-d1}, [r10], r9
    vld1.8  {d2-d3}, [r10]
    veor    q0, q0, q7
    veor    q1, q1, q7
    vmull.s8 q6, d0, d8
    vmull.s8 q7, d2, d8
    vmull.s8 q2, d1, d9
    vmull.s8 q3, d3, d9
    vaddw.s16 q8, q8, d12
    vaddw.s16 q9, q9, d13
    vaddw.s16 q12, q12, d14
    vaddw.s16 q13, q13, d15
    vaddw.s16 q10, q10, d4
    vaddw.s16 q11, q11, d5
    vaddw.s16 q14, q14, d6
    vaddw.s16 q15, q15, d7
4:  FINISH
    add     r3, r3, r9, lsl #1
    subs    r8, r8, #1
    bne     1b
    LEAVE
    .size   doorward_neon32_depthwise, . - doorward_neon32_depthwise

@ r2 times 16 bytes of a row from r0 on, made signed, as pairs, each four times, as GROUP reads them: eight bytes become 32, and
@ 32 bytes are left out for the tile's other row.
    .global doorward_neon32_lay
    .hidden doorward_neon32_lay
    .type   doorward_neon32_lay, %function
    .p2align 4
doorward_neon32_lay:
    vmov.i8 q15, #128
    mov     r3, #64
1:  vld1.8  {d0-d1}, [r0]!
    subs    r2, r2, #1
    veor    q0, q0, q15
    vdup.16 d16, d0[0]
    vdup.16 d17, d0[1]
    vdup.16 d18, d0[2]
    vdup.16 d19, d0[3]
    vdup.16 d20, d1[0]
    vdup.16 d21, d1[1]
    vdup.16 d22, d1[2]
    vdup.16 d23, d1[3]
    vst1.8  {d16-d19}, [r1:256], r3
    vst1.8  {d20-d23}, [r1:256], r3
    bne     1b
    bx      lr
    .size   doorward_neon32_lay, . - doorward_neon32_lay
