package main

import (
	"context"
	"time"
)

// maxCatchUp bounds the burst after a starvation: what was due before is left out, and not counted as sent.
const maxCatchUp = 5 * time.Second

// pacer says when the next try is due. Dues are counted from the start, not from the last try, so they do not drift; a
// pacer that comes late finds several dues in the past and lets them through at once.
type pacer struct {
	start     time.Time
	perSecond int
	passed    int64 // dues since start
}

func newPacer(perSecond int) *pacer {
	return &pacer{start: time.Now(), perSecond: perSecond}
}

func (p *pacer) due() time.Time {
	return p.start.Add(time.Duration(p.passed * int64(time.Second) / int64(p.perSecond)))
}

// next waits for the next due and answers how late it is then; false when ctx is done.
func (p *pacer) next(ctx context.Context) (late time.Duration, ok bool) {
	due := p.due()
	if wait := time.Until(due); wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
	}
	if ctx.Err() != nil {
		return 0, false
	}
	p.passed++
	late = max(0, time.Since(due))
	if late > maxCatchUp {
		p.forgive()
	}
	return late, true
}

// forgive leaves out the dues that have passed. It is for whom something else than starvation has held up.
func (p *pacer) forgive() {
	if now := time.Now(); p.due().Before(now) {
		p.start, p.passed = now, 0
	}
}
