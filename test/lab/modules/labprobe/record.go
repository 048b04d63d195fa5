package main

import (
	"sync"
	"time"
)

// Bounds of what one stream keeps, however long it runs.
const (
	maxSpans   = 500 // gaps, and stalls
	maxAnswers = 100 // different answers
	otherwise  = "(others)"
)

type state int

const (
	pending state = iota
	good
	failed
)

type try struct {
	sentAt time.Time
	state  state
	reason string // why it failed
}

// gap is a longest run of failed tries in sending order.
type gap struct {
	from   time.Time // when its first try was sent
	to     time.Time // when the first good try after it was sent; while it is open, when its last failed try was sent
	lost   int
	reason string // of its first try
}

type stall struct{ from, to time.Time }

// record keeps what became of every try of one stream. Tries may end in any order: counters change at once, gaps only
// when every earlier try has ended, because only then is it known what a run is. Safe for concurrent use.
type record struct {
	mu        sync.Mutex
	first     uint64 // number of open[0]
	open      []try  // in sending order, from the first that is pending
	sent      int
	ok        int
	lost      int
	wrong     int
	late      int
	breaks    int
	latency   histogram
	sendDelay time.Duration // the greatest
	lastError string
	firstOkAt time.Time
	lastOkAt  time.Time
	answers   map[string]int
	gaps      []gap
	moreGaps  int // beyond maxSpans
	running   gap // the gap that is open; none when lost is 0
	stalls    []stall
	allStalls int
}

// begin notes that a try is sent now, delay after it was due, and answers its number.
func (r *record) begin(now time.Time, delay time.Duration) uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sent++
	r.sendDelay = max(r.sendDelay, delay)
	r.open = append(r.open, try{sentAt: now})
	return r.first + uint64(len(r.open)) - 1
}

// succeed ends a try well; false when it is not pending (any more), and then nothing is counted.
func (r *record) succeed(number uint64, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.find(number)
	if t == nil {
		return false
	}
	t.state = good
	r.ok++
	r.latency.add(now.Sub(t.sentAt))
	if r.firstOkAt.IsZero() {
		r.firstOkAt = now
	}
	r.lastOkAt = now
	r.settle()
	return true
}

// fail ends a try badly; a try that is not pending stays as it is.
func (r *record) fail(number uint64, reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if t := r.find(number); t != nil {
		r.lose(t, reason)
		r.settle()
	}
}

// expire fails the pending tries that were sent before a time, and answers their numbers.
func (r *record) expire(before time.Time, reason string) (expired []uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.open {
		t := &r.open[i]
		if !t.sentAt.Before(before) {
			break
		}
		if t.state == pending {
			r.lose(t, reason)
			expired = append(expired, r.first+uint64(i))
		}
	}
	r.settle()
	return expired
}

func (r *record) pending() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sent - r.ok - r.lost
}

// count adds one to a counter of this record, such as &r.late.
func (r *record) count(counter *int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	*counter++
}

func (r *record) countAnswer(answer string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.answers == nil {
		r.answers = map[string]int{}
	}
	if _, known := r.answers[answer]; !known && len(r.answers) >= maxAnswers {
		answer = otherwise
	}
	r.answers[answer]++
}

func (r *record) addStall(from, to time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.allStalls++
	if len(r.stalls) < maxSpans {
		r.stalls = append(r.stalls, stall{from, to})
	}
}

// The functions below are called with the lock held.

func (r *record) find(number uint64) *try {
	if number < r.first || number-r.first >= uint64(len(r.open)) {
		return nil
	}
	if t := &r.open[number-r.first]; t.state == pending {
		return t
	}
	return nil
}

func (r *record) lose(t *try, reason string) {
	t.state, t.reason = failed, reason
	r.lost++
	r.lastError = reason
}

// settle takes the tries that have ended off the front, and joins the failed ones to gaps.
func (r *record) settle() {
	for len(r.open) > 0 && r.open[0].state != pending {
		t := r.open[0]
		r.open = r.open[1:]
		r.first++
		switch {
		case t.state == failed && r.running.lost == 0:
			r.running = gap{from: t.sentAt, to: t.sentAt, lost: 1, reason: t.reason}
		case t.state == failed:
			r.running.to = t.sentAt
			r.running.lost++
		case r.running.lost > 0:
			r.running.to = t.sentAt
			r.keep(r.running)
			r.running = gap{}
		}
	}
}

func (r *record) keep(g gap) {
	if len(r.gaps) < maxSpans {
		r.gaps = append(r.gaps, g)
	} else {
		r.moreGaps++
	}
}
