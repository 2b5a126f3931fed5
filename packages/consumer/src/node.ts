export { fileStore } from './store/file.ts'
