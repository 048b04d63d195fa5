package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// The wire format is RFC 1035 section 4. The resolver of package net is of no use here: it asks again by itself, lets
// look-ups that run beside each other share one answer, and reads /etc/hosts.
const (
	headerSize   = 12
	typeA        = 1
	classIN      = 1
	flagResponse = 1 << 15
	flagRecurse  = 1 << 8
)

var codes = map[uint16]string{1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED"}

var errMalformed = errors.New("the answer is malformed")

// tryDNS asks one server once, and answers the addresses, sorted and joined by commas.
func tryDNS(s spec, deadline time.Time) (string, error) {
	conn, err := net.Dial("udp", s.To)
	if err != nil {
		return "", explain(err, notAnswered)
	}
	defer conn.Close()
	if err := conn.SetDeadline(deadline); err != nil {
		return "", err
	}
	id := uint16(rand.Uint32())
	query, err := encodeQuery(id, s.Question)
	if err != nil {
		return "", err
	}
	if _, err := conn.Write(query); err != nil {
		return "", explain(err, notAnswered)
	}
	answer := make([]byte, 4096)
	for {
		size, err := conn.Read(answer)
		if err != nil {
			return "", explain(err, notAnswered)
		}
		if size >= headerSize && binary.BigEndian.Uint16(answer) == id {
			return decodeAddresses(answer[:size])
		}
	}
}

func encodeQuery(id uint16, question string) ([]byte, error) {
	name := strings.TrimSuffix(question, ".")
	if len(name) > 253 {
		return nil, errors.New("question must be a name of at most 253 characters")
	}
	query := binary.BigEndian.AppendUint16(nil, id)
	query = binary.BigEndian.AppendUint16(query, flagRecurse)
	query = append(query, 0, 1, 0, 0, 0, 0, 0, 0) // one question, nothing else
	for label := range strings.SplitSeq(name, ".") {
		if len(label) < 1 || len(label) > 63 {
			return nil, fmt.Errorf("question must be a name with labels of 1 to 63 characters, not %q", question)
		}
		query = append(query, byte(len(label)))
		query = append(query, label...)
	}
	return append(query, 0, 0, typeA, 0, classIN), nil
}

func decodeAddresses(message []byte) (string, error) {
	flags := binary.BigEndian.Uint16(message[2:])
	if flags&flagResponse == 0 {
		return "", errMalformed
	}
	if code := flags & 0xf; code != 0 {
		if name, known := codes[code]; known {
			return "", errors.New(name)
		}
		return "", fmt.Errorf("response code %d", code)
	}
	questions, records := binary.BigEndian.Uint16(message[4:]), binary.BigEndian.Uint16(message[6:])
	rest := message[headerSize:]
	var addresses []string
	for range questions {
		if rest = skipName(rest); len(rest) < 4 {
			return "", errMalformed
		}
		rest = rest[4:]
	}
	for range records {
		if rest = skipName(rest); len(rest) < 10 {
			return "", errMalformed
		}
		kind, size := binary.BigEndian.Uint16(rest), int(binary.BigEndian.Uint16(rest[8:]))
		if rest = rest[10:]; len(rest) < size {
			return "", errMalformed
		}
		if kind == typeA && size == 4 {
			addresses = append(addresses, netip.AddrFrom4([4]byte(rest[:4])).String())
		}
		rest = rest[size:]
	}
	if len(addresses) == 0 {
		return "", errors.New("the answer has no address")
	}
	slices.Sort(addresses)
	return strings.Join(addresses, ","), nil
}

// skipName answers what follows a name (labels up to an empty one or a pointer); nil when the message ends before.
func skipName(rest []byte) []byte {
	for len(rest) > 0 {
		length := int(rest[0])
		switch {
		case length == 0:
			return rest[1:]
		case length >= 0xc0:
			return rest[min(2, len(rest)):]
		}
		rest = rest[min(1+length, len(rest)):]
	}
	return nil
}
