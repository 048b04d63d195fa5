package main

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestPaceDoesNotDrift(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		pace := newPacer(300) // an interval that is no whole number of nanoseconds
		for range 30_001 {
			late, ok := pace.next(t.Context())
			if !ok || late != 0 {
				t.Fatalf("late %v, ok %v", late, ok)
			}
			time.Sleep(time.Millisecond) // the work between two tries
		}

		if got := time.Since(start); got != 100*time.Second+time.Millisecond {
			t.Errorf("30,000 intervals took %v", got)
		}
	})
}

func TestPaceCatchesUpInABurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pace := newPacer(200)
		pace.next(t.Context())
		time.Sleep(2 * time.Second)
		starved := time.Now()

		worst := time.Duration(0)
		for range 400 {
			late, _ := pace.next(t.Context())
			worst = max(worst, late)
		}

		if time.Since(starved) != 0 {
			t.Errorf("the burst took %v", time.Since(starved))
		}
		if worst != 1995*time.Millisecond {
			t.Errorf("worst delay is %v", worst)
		}
		if pace.next(t.Context()); time.Since(starved) != 5*time.Millisecond {
			t.Errorf("the pace went on after %v", time.Since(starved))
		}
	})
}

func TestPaceLeavesOutWhatIsTooOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pace := newPacer(200)
		pace.next(t.Context())
		time.Sleep(time.Minute)

		late, _ := pace.next(t.Context())
		after := time.Now()
		pace.next(t.Context())
		pace.next(t.Context())

		if late < 59*time.Second {
			t.Errorf("the delay is told as %v", late)
		}
		if got := time.Since(after); got != 5*time.Millisecond {
			t.Errorf("two more tries took %v", got)
		}
	})
}

func TestPaceEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		start := time.Now()
		pace := newPacer(1)

		count := 0
		for _, ok := pace.next(ctx); ok; _, ok = pace.next(ctx) {
			count++
		}

		if count != 2 || time.Since(start) != 1500*time.Millisecond {
			t.Errorf("%d tries in %v", count, time.Since(start))
		}
	})
}
