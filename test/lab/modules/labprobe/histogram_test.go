package main

import (
	"math"
	"testing"
	"time"
)

func TestQuantilesAreOnePercentOffAtMost(t *testing.T) {
	for d := 2 * time.Microsecond; d < 100*time.Second; d = d * 11 / 10 {
		var h histogram
		h.add(d)
		h.add(200 * time.Second) // so that the maximum does not correct the quantile

		got := h.quantile(0.5)

		if off := math.Abs(float64(got-d)) / float64(d); off > 0.0101 {
			t.Errorf("quantile of %v is %v, %.2f %% off", d, got, off*100)
		}
	}
}

func TestQuantilesOfManyDurations(t *testing.T) {
	var h histogram
	for i := 1; i <= 1000; i++ {
		h.add(time.Duration(i) * time.Millisecond)
	}

	for _, c := range []struct {
		q    float64
		want time.Duration
	}{{0, time.Millisecond}, {0.5, 500 * time.Millisecond}, {0.99, 990 * time.Millisecond}, {1, time.Second}} {
		got := h.quantile(c.q)

		if off := math.Abs(float64(got-c.want)) / float64(c.want); off > 0.0101 {
			t.Errorf("quantile %v is %v, want %v", c.q, got, c.want)
		}
	}
	if h.max != time.Second {
		t.Errorf("max is %v", h.max)
	}
}

func TestQuantilesAtTheEnds(t *testing.T) {
	var none, one, beyond histogram
	one.add(3 * time.Millisecond)
	beyond.add(-time.Second)
	beyond.add(time.Hour)

	if got := none.quantile(0.5); got != 0 {
		t.Errorf("quantile of nothing is %v", got)
	}
	if got := one.quantile(0.99); got > one.max {
		t.Errorf("quantile %v is above the maximum", got)
	}
	if got := beyond.quantile(1); got < 100*time.Second || beyond.max != time.Hour {
		t.Errorf("an hour is counted as %v, max %v", got, beyond.max)
	}
}
