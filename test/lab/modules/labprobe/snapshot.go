package main

import (
	"maps"
	"math"
	"time"
)

// A snapshot is what the control API says about a stream. Times are UTC. sent = ok + lost + pending.
type snapshot struct {
	spec
	StartedAt string `json:"startedAt"` // RFC 3339 with milliseconds
	Sent      int    `json:"sent"`
	OK        int    `json:"ok"`
	Lost      int    `json:"lost"`
	Pending   int    `json:"pending"`
	Wrong     int    `json:"wrong"` // of lost: answered by someone whom expectPrefix does not allow
	Late      int    `json:"late"`  // of lost: the echo came after all, later than 1 s (udp)

	MaxMs            float64 `json:"maxMs"` // of the good tries, like the quantiles
	P50Ms            float64 `json:"p50Ms"`
	P99Ms            float64 `json:"p99Ms"`
	WorstSendDelayMs float64 `json:"worstSendDelayMs"` // the longest that a try was sent after it was due: starvation

	FirstOkAt string         `json:"firstOkAt,omitempty"` // when the first good answer came; RFC 3339 with ns
	LastOkAt  string         `json:"lastOkAt,omitempty"`
	LastError string         `json:"lastError"`
	Answers   map[string]int `json:"answers"` // answer (http: body, dns: addresses) to count; "(others)" above 100

	// The first 500 gaps, and the one that is open. A gap is known when every earlier try has ended: up to 1 s after its
	// tries are counted as lost.
	Gaps       []gapSnapshot   `json:"gaps"`
	GapsMore   int             `json:"gapsMore"` // how many are not listed
	Breaks     int             `json:"breaks"`   // of lost: an established connection ended (connection)
	Stalls     int             `json:"stalls"`   // of ok: an answer took more than 100 ms (connection)
	StallSpans []stallSnapshot `json:"stallSpans"`
}

type gapSnapshot struct {
	From  string `json:"from"`           // sending time of the first failed try
	To    string `json:"to"`             // sending time of the next good try, or of the last failed one while open
	Open  bool   `json:"open,omitempty"` // no good try has followed yet
	Lost  int    `json:"lost"`
	Error string `json:"error"` // of the first failed try
}

type stallSnapshot struct {
	From string  `json:"from"`
	To   string  `json:"to"`
	Ms   float64 `json:"ms"`
}

func (s *stream) snapshot() snapshot {
	r := &s.record
	r.mu.Lock()
	defer r.mu.Unlock()
	answers := map[string]int{}
	maps.Copy(answers, r.answers)
	shot := snapshot{
		spec: s.spec, StartedAt: s.startedAt.UTC().Format("2006-01-02T15:04:05.000Z07:00"),
		Sent: r.sent, OK: r.ok, Lost: r.lost, Pending: r.sent - r.ok - r.lost, Wrong: r.wrong, Late: r.late,
		MaxMs: ms(r.latency.max), P50Ms: ms(r.latency.quantile(0.5)), P99Ms: ms(r.latency.quantile(0.99)),
		WorstSendDelayMs: ms(r.sendDelay),
		FirstOkAt:        stamp(r.firstOkAt), LastOkAt: stamp(r.lastOkAt), LastError: r.lastError, Answers: answers,
		Gaps: []gapSnapshot{}, GapsMore: r.moreGaps,
		Breaks: r.breaks, Stalls: r.allStalls, StallSpans: []stallSnapshot{},
	}
	for _, g := range r.gaps {
		shot.Gaps = append(shot.Gaps, gapSnapshot{stamp(g.from), stamp(g.to), false, g.lost, g.reason})
	}
	if g := r.running; g.lost > 0 {
		shot.Gaps = append(shot.Gaps, gapSnapshot{stamp(g.from), stamp(g.to), true, g.lost, g.reason})
	}
	for _, st := range r.stalls {
		shot.StallSpans = append(shot.StallSpans, stallSnapshot{stamp(st.from), stamp(st.to), ms(st.to.Sub(st.from))})
	}
	return shot
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// ms answers milliseconds, rounded to microseconds.
func ms(d time.Duration) float64 {
	return math.Round(float64(d)/float64(time.Microsecond)) / 1000
}
