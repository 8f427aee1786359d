package main

import "slices"

// median is that of a figure of runs.
func median[R any](runs []R, figure func(R) float64) float64 {
	var all []float64
	for _, r := range runs {
		all = append(all, figure(r))
	}
	slices.Sort(all)
	return all[len(all)/2]
}
