package main

import (
	"encoding/binary"
	"testing"
	"time"
)

const question = "kubernetes.default.svc.cluster.local."

// answerTo turns a query into an answer: a CNAME and the addresses, both with compressed names.
func answerTo(query []byte, code byte, addresses ...[4]byte) []byte {
	answer := append([]byte(nil), query...)
	answer[2], answer[3] = 0x85, code
	if code == 0 {
		binary.BigEndian.PutUint16(answer[6:], uint16(1+len(addresses)))
		answer = append(answer, 0xc0, headerSize, 0, 5, 0, classIN, 0, 0, 0, 5, 0, 2, 0xc0, headerSize)
	}
	for _, address := range addresses {
		answer = append(answer, 0xc0, headerSize, 0, typeA, 0, classIN, 0, 0, 0, 5, 0, 4)
		answer = append(answer, address[:]...)
	}
	return answer
}

func TestDNSAnswers(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer func(query []byte) [][]byte
		want   string
		err    string
	}{
		{"addresses", func(q []byte) [][]byte {
			return [][]byte{answerTo(q, 0, [4]byte{10, 96, 0, 2}, [4]byte{10, 96, 0, 1})}
		}, "10.96.0.1,10.96.0.2", ""},
		{"an answer to somebody else before", func(q []byte) [][]byte {
			other := answerTo(q, 3)
			other[0]++
			return [][]byte{other, {1, 2, 3}, answerTo(q, 0, [4]byte{10, 96, 0, 1})}
		}, "10.96.0.1", ""},
		{"no such name", func(q []byte) [][]byte { return [][]byte{answerTo(q, 3)} }, "", "NXDOMAIN"},
		{"a rare code", func(q []byte) [][]byte { return [][]byte{answerTo(q, 9)} }, "", "response code 9"},
		{"no address", func(q []byte) [][]byte { return [][]byte{answerTo(q, 0)} }, "", "the answer has no address"},
		{"an echo", func(q []byte) [][]byte { return [][]byte{q} }, "", errMalformed.Error()},
		{"silence", func([]byte) [][]byte { return nil }, "", notAnswered},
	} {
		t.Run(c.name, func(t *testing.T) {
			to := serveUDP(t, func(query []byte, reply func([]byte)) {
				for _, packet := range c.answer(query) {
					reply(packet)
				}
			})

			got, err := tryDNS(spec{To: to, Question: question}, time.Now().Add(500*time.Millisecond))

			if got != c.want || (err == nil) != (c.err == "") || (err != nil && err.Error() != c.err) {
				t.Errorf("answered %q, %v", got, err)
			}
		})
	}
}

func TestDNSAnswerThatIsCutOff(t *testing.T) {
	query, err := encodeQuery(7, question)
	if err != nil {
		t.Fatal(err)
	}
	whole := answerTo(query, 0, [4]byte{10, 96, 0, 1})
	for size := headerSize; size < len(whole); size++ {
		if got, err := decodeAddresses(whole[:size]); err == nil {
			t.Errorf("%d of %d bytes answered %q", size, len(whole), got)
		}
	}
}

func TestDNSStreamCountsAnswers(t *testing.T) {
	to := serveUDP(t, func(query []byte, reply func([]byte)) { reply(answerTo(query, 0, [4]byte{10, 96, 0, 1})) })
	s := running(t, spec{Kind: "dns", To: to, PerSecond: 50, Question: question})
	eventually(t, "answers", func() bool { return s.snapshot().OK >= 5 })

	if got := finish(s); got.Lost != 0 || got.Answers["10.96.0.1"] != got.Sent {
		t.Errorf("counted %+v", got)
	}
}
