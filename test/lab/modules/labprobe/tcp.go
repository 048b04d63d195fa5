package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"time"
)

const (
	messageSize   = 64                     // bytes
	stallAfter    = 100 * time.Millisecond // an answer that takes longer is a stall
	breakAfter    = 20 * time.Second       // a connection that is silent for so long is given up
	notConnected  = "no connection within 1 s"
	notAnswered   = "no answer within 1 s"
	silent        = "no answer within 20 s"
	stoppedBefore = "no answer when the stream was stopped"
)

var errNotEchoed = errors.New("the echo differs from what was sent")

func tryTCP(s spec, deadline time.Time) (string, error) {
	conn, err := connect(s.To, deadline)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	return "", explain(roundTrip(conn, uint64(deadline.UnixNano())), notAnswered)
}

// connect opens a connection whose reads and writes end at the deadline too.
func connect(to string, deadline time.Time) (net.Conn, error) {
	dialer := net.Dialer{Deadline: deadline}
	conn, err := dialer.Dial("tcp", to)
	if err != nil {
		return nil, explain(err, notConnected)
	}
	return conn, conn.SetDeadline(deadline)
}

// roundTrip sends a message that carries the number, and reads its echo.
func roundTrip(conn net.Conn, number uint64) error {
	message, echo := make([]byte, messageSize), make([]byte, messageSize)
	binary.BigEndian.PutUint64(message, number)
	if _, err := conn.Write(message); err != nil {
		return err
	}
	if _, err := io.ReadFull(conn, echo); err != nil {
		return err
	}
	if !bytes.Equal(message, echo) {
		return errNotEchoed
	}
	return nil
}

// runConnection sends one message at a time on a connection that it keeps. A connection that cannot be opened is a
// failed try like a message without an answer, so that a gap spans the break and the time until the next good message.
func runConnection(ctx context.Context, s *stream) {
	var conn net.Conn
	pace := newPacer(s.PerSecond)
	for delay, ok := pace.next(ctx); ok; delay, ok = pace.next(ctx) {
		sentAt := time.Now()
		number := s.begin(sentAt, delay)
		var err error
		if conn == nil {
			conn, err = connect(s.To, sentAt.Add(answerWithin))
		}
		if err == nil {
			err = exchange(ctx, s, conn, number)
		}
		now := time.Now()
		if err != nil {
			s.fail(number, err.Error())
			if conn != nil {
				conn.Close()
				conn = nil
			}
		} else {
			s.succeed(number, now)
			if now.Sub(sentAt) > stallAfter {
				s.addStall(sentAt, now)
			}
		}
		pace.forgive()
	}
	if conn != nil {
		conn.Close()
	}
}

// exchange waits long for an answer, because TCP may recover, but no longer than a second once the stream is stopped.
func exchange(ctx context.Context, s *stream, conn net.Conn, number uint64) error {
	_ = conn.SetDeadline(time.Now().Add(breakAfter))
	hurry := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Now().Add(answerWithin)) })
	defer hurry()
	err := roundTrip(conn, number)
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return explain(err, stoppedBefore)
	}
	s.count(&s.breaks)
	return explain(err, silent)
}
