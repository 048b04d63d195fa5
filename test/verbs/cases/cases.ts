import { askingCases } from './asking.ts';
import type { VerbCase } from './case.ts';
import { cleaningCases } from './cleaning.ts';
import { swappingCases } from './swapping.ts';

export const verbCases: readonly VerbCase[] = [...askingCases, ...swappingCases, ...cleaningCases];
