package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"net"
	"time"
)

const (
	packetSize = 200 // bytes of payload: 16 of the stream, 8 of the number, zeros
	numberAt   = 16
	pollEvery  = 20 * time.Millisecond // how exactly a loss is noticed
	noEcho     = "no echo within 1 s"
)

// udpProbe is one socket for the whole stream: one flow, as a long-lived client has it.
type udpProbe struct {
	s    *stream
	conn net.Conn // nil until a route exists
	id   [numberAt]byte
	sent chan struct{} // closed when nothing more is sent
	read chan struct{} // closed when the last echo is in; nil as long as nothing reads
}

func runUDP(ctx context.Context, s *stream) {
	p := &udpProbe{s: s, sent: make(chan struct{})}
	rand.Read(p.id[:]) // never fails
	packet := make([]byte, packetSize)
	copy(packet, p.id[:])
	pace := newPacer(s.PerSecond)
	for delay, ok := pace.next(ctx); ok; delay, ok = pace.next(ctx) {
		number := s.begin(time.Now(), delay)
		binary.BigEndian.PutUint64(packet[numberAt:], number)
		if err := p.send(packet); err != nil {
			s.fail(number, explain(err, noEcho).Error())
		}
	}
	close(p.sent)
	if p.read != nil {
		<-p.read
		p.conn.Close()
	}
}

func (p *udpProbe) send(packet []byte) error {
	if p.conn == nil {
		conn, err := net.Dial("udp", p.s.To)
		if err != nil {
			return err // such as ENETUNREACH: the next packet tries again
		}
		_ = conn.(*net.UDPConn).SetReadBuffer(receiveBuffer)
		p.conn, p.read = conn, make(chan struct{})
		go p.receive()
	}
	// The kernel reports the fate of an earlier packet (an ICMP error) on the next write, and does not send that one.
	if _, err := p.conn.Write(packet); err == nil {
		return nil
	}
	_, err := p.conn.Write(packet)
	return err
}

// receive alone decides what is in time, so that an echo is never judged twice.
func (p *udpProbe) receive() {
	defer close(p.read)
	var lost lostNumbers
	packet := make([]byte, 2*packetSize)
	reason := noEcho
	for !p.over() {
		_ = p.conn.SetReadDeadline(time.Now().Add(pollEvery))
		size, err := p.conn.Read(packet)
		now := time.Now()
		for _, number := range p.s.expire(now.Add(-answerWithin), reason) {
			lost.add(number)
		}
		if err != nil {
			if why := explain(err, noEcho).Error(); why != noEcho {
				reason = noEcho + " (" + why + ")"
			}
			continue
		}
		if size != packetSize || !bytes.HasPrefix(packet, p.id[:]) {
			continue
		}
		reason = noEcho
		number := binary.BigEndian.Uint64(packet[numberAt:])
		if !p.s.succeed(number, now) && lost.take(number) {
			p.s.count(&p.s.late)
		}
	}
}

func (p *udpProbe) over() bool {
	select {
	case <-p.sent:
		return p.s.pending() == 0
	default:
		return false
	}
}

// lostNumbers remembers the latest lost packets, so that a late echo is told from a second one. At 200 a second it
// reaches back over a minute when everything is lost.
type lostNumbers struct{ slots [1 << 14]uint64 }

func (l *lostNumbers) add(number uint64) { l.slots[number%uint64(len(l.slots))] = number + 1 }

// take answers whether the number was lost, and forgets it.
func (l *lostNumbers) take(number uint64) bool {
	slot := &l.slots[number%uint64(len(l.slots))]
	if *slot != number+1 {
		return false
	}
	*slot = 0
	return true
}
