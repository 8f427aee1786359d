//go:build !race

package flow

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/internal/plan"
)

// The race detector makes pools forget.
func TestAppendAllocatesNothingButItsResult(t *testing.T) {
	typ, v := plan.TypeOf[purchase](), any(aPurchase)
	for name, codec := range map[string]Codec{"msgpack": nil, "cipher": ciphered(t, nil, newKey)} {
		t.Run(name, func(t *testing.T) {
			p, buf := newPayloads(codec), make([]byte, 0, 1<<10)
			assert.Zero(t, testing.AllocsPerRun(100, func() {
				_, _, err := p.AppendDigest(buf, typ, v)
				require.NoError(t, err)
			}))
			assert.EqualValues(t, 1, testing.AllocsPerRun(100, func() {
				_, err := p.Append(nil, typ, v)
				require.NoError(t, err)
			}))
		})
	}
}
