// The activations between gate and up, in float32.

#pragma once

#include "common.h"

namespace jackfield {

// In the order of ACTIVATIONS in native.py.
enum Activation { SILU, GELU_TANH, GELU_SIGMOID, RELU, RELU_SQUARED };

// exp(x) within 2e-7 of its value, between the least and the greatest normal numbers; NaN stays NaN. std::exp is not turned
// into vectors. x = n ln 2 + r with |r| <= ln(2) / 2, ln 2 in two parts so that r is exact, and a polynomial in r (Cephes,
// expf).
INLINE float exponential(float x) {
    x = x < -87.0f ? -87.0f : x > 88.0f ? 88.0f : x;
    const float n = std::floor(x * 1.44269504f + 0.5f);
    const float r = x - n * 0.693359375f + n * 2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    const uint32_t bits = uint32_t(int32_t(n) + 127) << 23;
    float power;
    std::memcpy(&power, &bits, sizeof power);
    return p * power;
}

INLINE float sigmoid(float x) { return 1.0f / (1.0f + exponential(-x)); }

template <int KIND>
INLINE float activate(float x) {
    if (KIND == SILU) return x * sigmoid(x);
    // 0.5 (1 + tanh(z)) = sigmoid(2 z)
    if (KIND == GELU_TANH) return x * sigmoid(1.59576912f * (x + 0.044715f * x * x * x));
    if (KIND == GELU_SIGMOID) return x * sigmoid(1.702f * x);
    const float positive = x > 0 ? x : x != x ? x : 0;
    return KIND == RELU ? positive : positive * positive;
}

}  // namespace jackfield
