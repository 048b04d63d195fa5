package main

import (
	"fmt"
	"reflect"
	"testing"
	"time"
)

var zero = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func at(ms int) time.Time { return zero.Add(time.Duration(ms) * time.Millisecond) }

// sending begins tries 10 ms apart.
func sending(count int) *record {
	r := &record{}
	for i := range count {
		r.begin(at(10*i), 0)
	}
	return r
}

func TestGapsAreLongestRunsInSendingOrder(t *testing.T) {
	r := sending(8)

	// The answers come in no order: 0 good, 1 and 2 lost, 3 good, 4 lost, 5 good, 6 and 7 lost.
	r.fail(4, "d")
	r.succeed(3, at(31))
	r.fail(7, "f")
	r.fail(2, "b")
	r.succeed(0, at(32))
	r.fail(6, "e")
	r.succeed(5, at(55))
	if len(r.gaps) != 0 {
		t.Errorf("gaps %v are known while try 1 is pending", r.gaps)
	}
	r.fail(1, "a")

	want := []gap{{at(10), at(30), 2, "a"}, {at(40), at(50), 1, "d"}}
	if !reflect.DeepEqual(r.gaps, want) {
		t.Errorf("gaps are %v, want %v", r.gaps, want)
	}
	if open := (gap{at(60), at(70), 2, "e"}); r.running != open {
		t.Errorf("the open gap is %v, want %v", r.running, open)
	}
	if r.sent != 8 || r.ok != 3 || r.lost != 5 || r.pending() != 0 || len(r.open) != 0 {
		t.Errorf("counted sent %d ok %d lost %d pending %d open %d", r.sent, r.ok, r.lost, r.pending(), len(r.open))
	}
	if r.firstOkAt != at(31) || r.lastOkAt != at(55) || r.lastError != "a" {
		t.Errorf("first %v last %v error %q", r.firstOkAt, r.lastOkAt, r.lastError)
	}
}

func TestATryEndsOnce(t *testing.T) {
	r := sending(2)
	r.fail(0, "lost")

	if r.succeed(0, at(5)) {
		t.Error("a lost try succeeded")
	}
	if !r.succeed(1, at(15)) || r.succeed(1, at(16)) || r.succeed(2, at(16)) {
		t.Error("a try succeeded twice, or one that was never sent")
	}
	r.fail(1, "too late")
	if r.ok != 1 || r.lost != 1 {
		t.Errorf("ok %d, lost %d", r.ok, r.lost)
	}
}

func TestExpireFailsOnlyWhatIsOldAndPending(t *testing.T) {
	r := sending(4)
	r.succeed(1, at(12))

	got := r.expire(at(30), "old")

	if want := []uint64{0, 2}; !reflect.DeepEqual(got, want) {
		t.Errorf("expired %v, want %v", got, want)
	}
	if r.pending() != 1 || r.lastError != "old" {
		t.Errorf("pending %d, error %q", r.pending(), r.lastError)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	r := &record{}
	for i := range 2 * (maxSpans + 10) {
		number := r.begin(at(i), 0)
		if i%2 == 0 {
			r.fail(number, "no")
		} else {
			r.succeed(number, at(i))
		}
		r.addStall(at(i), at(i+200))
		r.countAnswer(fmt.Sprint("pod-", i))
	}

	if len(r.gaps) != maxSpans || r.moreGaps != 10 {
		t.Errorf("%d gaps and %d more", len(r.gaps), r.moreGaps)
	}
	if len(r.stalls) != maxSpans || r.allStalls != 2*(maxSpans+10) {
		t.Errorf("%d stalls of %d", len(r.stalls), r.allStalls)
	}
	if len(r.answers) != maxAnswers+1 || r.answers[otherwise] != 2*(maxSpans+10)-maxAnswers {
		t.Errorf("%d answers, others %d", len(r.answers), r.answers[otherwise])
	}
	if cap(r.open) > 64 {
		t.Errorf("%d tries are kept", cap(r.open))
	}
}
