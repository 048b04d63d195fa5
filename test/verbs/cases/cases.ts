import { askingCases } from './asking.ts';
import type { VerbCase } from './case.ts';
import { cleaningCases } from './cleaning.ts';
import { owningCases } from './owning.ts';
import { swappingCases } from './swapping.ts';

export const verbCases: readonly VerbCase[] = [...askingCases, ...owningCases, ...swappingCases, ...cleaningCases];
