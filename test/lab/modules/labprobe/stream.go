package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"regexp"
	"sync"
	"time"
)

const (
	answerWithin = time.Second             // a try that has no answer by then has failed
	stopWithin   = 1200 * time.Millisecond // how long a stop waits for the last answers
	maxPerSecond = 1000
)

// spec is what the control API is asked to start.
type spec struct {
	Name         string `json:"name"`
	Kind         string `json:"kind"`
	To           string `json:"to"`        // ip:port
	PerSecond    int    `json:"perSecond"` // 0: the default of the kind
	Question     string `json:"question,omitempty"`
	ExpectPrefix string `json:"expectPrefix,omitempty"`
}

// kinds says for each kind how many tries a second it sends unless told, and how it runs until its context is done and
// its last answers are in.
var kinds = map[string]struct {
	perSecond int
	run       func(context.Context, *stream)
}{
	"udp":        {200, runUDP},
	"tcp":        {20, func(ctx context.Context, s *stream) { s.each(ctx, tryTCP) }},
	"connection": {50, runConnection},
	"http":       {20, func(ctx context.Context, s *stream) { s.each(ctx, tryHTTP) }},
	"dns":        {10, func(ctx context.Context, s *stream) { s.each(ctx, tryDNS) }},
}

var nameFormat = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`)

// check fills in defaults, and answers what is wrong with the spec in one sentence.
func (s *spec) check() error {
	kind, known := kinds[s.Kind]
	if !known {
		return fmt.Errorf("kind must be udp, tcp, connection, http or dns, not %q", s.Kind)
	}
	if !nameFormat.MatchString(s.Name) {
		return fmt.Errorf("name must be 1 to 100 letters, digits, dots, dashes or underscores, not %q", s.Name)
	}
	// A host name would be looked up, and the stream would measure DNS too.
	if to, err := netip.ParseAddrPort(s.To); err != nil || to.Port() == 0 {
		return fmt.Errorf("to must be ip:port, such as 10.244.1.5:9000, not %q", s.To)
	}
	if s.PerSecond == 0 {
		s.PerSecond = kind.perSecond
	}
	if s.PerSecond < 1 || s.PerSecond > maxPerSecond {
		return fmt.Errorf("perSecond must be 1 to %d, not %d", maxPerSecond, s.PerSecond)
	}
	if (s.Question != "") != (s.Kind == "dns") {
		return errors.New("question is needed for kind dns, and only there")
	}
	if s.Kind == "dns" {
		if _, err := encodeQuery(0, s.Question); err != nil {
			return err
		}
	}
	if s.ExpectPrefix != "" && s.Kind != "http" {
		return errors.New("expectPrefix is for kind http only")
	}
	return nil
}

// stream is a spec that runs.
type stream struct {
	spec
	record
	startedAt time.Time
	cancel    context.CancelFunc
	done      chan struct{}
}

// start runs a spec that check has passed.
func start(s spec) *stream {
	ctx, cancel := context.WithCancel(context.Background())
	started := &stream{spec: s, startedAt: time.Now(), cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(started.done)
		kinds[s.Kind].run(ctx, started)
	}()
	return started
}

// wait waits for the last answers of a stream that was cancelled, until ctx is done.
func (s *stream) wait(ctx context.Context) {
	select {
	case <-s.done:
	case <-ctx.Done():
	}
}

// A tryFunc makes one try until its deadline. An answer is counted even when it is a wrong one.
type tryFunc func(s spec, deadline time.Time) (answer string, err error)

// misrouted is an answer of someone who was not meant.
type misrouted string

func (m misrouted) Error() string { return fmt.Sprintf("answered by %q", string(m)) }

// each makes tries beside each other, so that slow ones do not hold up the pace.
func (s *stream) each(ctx context.Context, try tryFunc) {
	var tries sync.WaitGroup
	pace := newPacer(s.PerSecond)
	for delay, ok := pace.next(ctx); ok; delay, ok = pace.next(ctx) {
		sentAt := time.Now()
		number := s.begin(sentAt, delay)
		tries.Go(func() {
			answer, err := try(s.spec, sentAt.Add(answerWithin))
			if answer != "" {
				s.countAnswer(answer)
			}
			if err == nil {
				s.succeed(number, time.Now())
				return
			}
			if errors.As(err, new(misrouted)) {
				s.count(&s.wrong)
			}
			s.fail(number, err.Error())
		})
	}
	tries.Wait()
}

// explain shortens a network error to what happened, without the addresses and ports that differ from try to try.
func explain(err error, onTimeout string) error {
	var call *os.SyscallError
	var network net.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &network) && network.Timeout():
		return errors.New(onTimeout)
	case errors.As(err, &call):
		return call
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("the other side closed the connection")
	}
	return err
}
