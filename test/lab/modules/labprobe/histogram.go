package main

import (
	"math"
	"time"
)

// The widths of the buckets grow by 2 %, and a bucket answers with its middle: a quantile is at most 1 % off.
const (
	bucketFloor  = time.Microsecond
	bucketGrowth = 1.02
	bucketCount  = 940 // up to 121 s
)

// histogram counts durations in constant memory. The zero value is empty and ready.
type histogram struct {
	buckets [bucketCount]uint64
	count   uint64
	max     time.Duration
}

func (h *histogram) add(d time.Duration) {
	h.buckets[bucketOf(d)]++
	h.count++
	h.max = max(h.max, d)
}

// quantile answers the duration that the share q of all durations (0 to 1) does not exceed; 0 when there are none.
func (h *histogram) quantile(q float64) time.Duration {
	rank := max(1, uint64(math.Ceil(q*float64(h.count))))
	seen := uint64(0)
	for i, count := range h.buckets {
		if seen += count; seen >= rank {
			middle := float64(bucketFloor) * math.Pow(bucketGrowth, float64(i)+0.5)
			return min(time.Duration(middle), h.max)
		}
	}
	return h.max
}

func bucketOf(d time.Duration) int {
	if d <= bucketFloor {
		return 0
	}
	i := int(math.Log(float64(d)/float64(bucketFloor)) / math.Log(bucketGrowth))
	return min(i, bucketCount-1)
}
